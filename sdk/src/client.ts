import {
  type Answer,
  accounts,
  auth,
  type Endpoint,
  history,
  imports,
  jobs,
  keys,
  memberships,
  reports,
  segments,
  users,
} from '@kohort/contract';
import { type ClientOptions, createCall, type Input, type Output } from './call.ts';

const features = { auth, accounts, keys, users, segments, memberships, history, reports, imports, jobs };
type Features = typeof features;

type Endpoints<F> = { [K in keyof F as F[K] extends Endpoint ? K : never]: F[K] extends Endpoint ? F[K] : never };
/** No argument where an endpoint needs none. */
type Method<E extends Endpoint> =
  Record<string, never> extends Input<E>
    ? (input?: Input<E>) => Promise<Output<E>>
    : (input: Input<E>) => Promise<Output<E>>;

export type Job = Answer<typeof jobs.readJob>;

/** Every call of the service as a function, grouped as the contract groups them, typed by the contract. */
export type Client = {
  readonly [F in keyof Features]: { readonly [K in keyof Endpoints<Features[F]>]: Method<Endpoints<Features[F]>[K]> };
} & {
  readonly call: ReturnType<typeof createCall>;
  /** A job now, and again whenever it has changed, until it ends; also over connections that break. */
  follow(id: string, options?: { signal?: AbortSignal }): AsyncGenerator<Job, void, undefined>;
};

function isEndpoint(value: unknown): value is Endpoint {
  return typeof value === 'object' && value !== null && 'method' in value && 'success' in value;
}

async function* eventsOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Job, void, undefined> {
  const decoder = new TextDecoder();
  let held = '';
  for await (const chunk of stream) {
    const parts = (held + decoder.decode(chunk, { stream: true })).split('\n\n');
    held = parts.pop() ?? '';
    for (const part of parts) if (part.startsWith('data: ')) yield JSON.parse(part.slice('data: '.length)) as Job;
  }
}

export function createClient(options: ClientOptions): Client {
  const call = createCall(options);
  const groups = Object.fromEntries(
    Object.entries(features).map(([name, feature]) => [
      name,
      Object.fromEntries(
        Object.entries(feature).flatMap(([id, endpoint]) =>
          isEndpoint(endpoint) ? [[id, (input: object = {}) => call(endpoint, input as Input<Endpoint>)]] : [],
        ),
      ),
    ]),
    // Made of the same modules that the type is made of.
  ) as unknown as Omit<Client, 'call' | 'follow'>;

  return {
    ...groups,
    call,
    async *follow(id, { signal } = {}) {
      const settings = signal ? { signal } : {};
      for (;;) {
        let last: Job | undefined;
        try {
          for await (const job of eventsOf(await call(jobs.followJob, { params: { id }, ...settings }))) {
            last = job;
            yield job;
          }
        } catch (error) {
          // The stream broke off in the middle: the job itself may be fine.
          if (last === undefined || signal?.aborted) throw error;
        }
        if (last?.finished_at) return;
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    },
  };
}
