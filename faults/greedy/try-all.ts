import { endpoints } from '@kohort/contract';
import { eventually } from '@kohort/testkit/eventually.ts';
import { call, demand, fieldOf } from '@kohort/testkit/http.ts';
import { crowds } from './crowds.ts';
import { type Input, inputsOf } from './inputs.ts';
import type { Turns } from './turns.ts';
import type { Witness, Witnessed } from './witness.ts';
import type { World } from './world.ts';

export interface Tried extends Input {
  readonly status: number;
  /** Processor milliseconds of the longest turn of the event loop. */
  readonly longestMs: number;
  /** What another caller saw meanwhile, if there was one. */
  readonly beside: Witnessed | undefined;
}

/** No turn is longer, on an idle machine. */
export const turnLimitMs = 50;
/** Other load on the machine makes single turns long, the code makes every turn long: so the best attempt counts. */
const attempts = 4;
/** Left out: it would end the session that all others need. */
const leftOut = new Set(['signOut']);
const lastMethods = ['DELETE'];

async function send({ url, token }: World, input: Input): Promise<number> {
  const { method, path, headers, body } = input;
  const answer = await call(url, method, path, { token, headers, ...(body !== undefined && { body }) });
  const job = answer.status === 202 ? fieldOf(JSON.parse(answer.text), 'job') : undefined;
  if (job === undefined) return answer.status;
  // An upload costs most after it was received.
  await eventually(async () => {
    const state = fieldOf(await demand(url, 'GET', `/api/jobs/${job}`, { token }), 'state');
    return state === 'done' || state === 'failed' || state === 'cancelled';
  });
  return answer.status;
}

interface Watching {
  readonly turns: Turns;
  readonly witness?: Witness;
  readonly wanted: (input: Input) => boolean;
}

async function tryOne(world: World, input: Input, { turns, witness }: Omit<Watching, 'wanted'>): Promise<Tried> {
  let status = 0;
  let beside: Witnessed | undefined;
  let longestMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < attempts && longestMs > turnLimitMs; i++) {
    const sending = async () => {
      status = await send(world, input);
    };
    const turn = await turns.longestDuring(async () => {
      const seen = await (witness ? witness.beside(sending) : sending());
      if (seen && seen.healthMost < (beside?.healthMost ?? Number.POSITIVE_INFINITY)) beside = seen;
    });
    longestMs = Math.min(longestMs, turn);
  }
  return { ...input, status, longestMs, beside };
}

/** Every operation of the contract with the largest inputs it takes, and with larger ones, one at a time. */
export async function tryAll(world: World, { wanted, ...watching }: Watching): Promise<Tried[]> {
  const order = endpoints.toSorted((a, b) => lastMethods.indexOf(a.method) - lastMethods.indexOf(b.method));
  const inputs = order.filter(({ id }) => !leftOut.has(id)).flatMap((endpoint) => inputsOf(endpoint, world));
  const tried: Tried[] = [];
  for (const input of inputs.filter(wanted)) tried.push(await tryOne(world, input, watching));
  return tried;
}

export interface TriedCrowd extends Witnessed {
  readonly what: string;
  readonly longestMs: number;
}

/** Many calls at the same time, with another caller beside them. */
export async function tryCrowds(world: World, turns: Turns, witness: Witness): Promise<TriedCrowd[]> {
  const tried: TriedCrowd[] = [];
  for (const { what, gather } of crowds) {
    let best: TriedCrowd | undefined;
    for (let i = 0; i < attempts && (best?.longestMs ?? Number.POSITIVE_INFINITY) > turnLimitMs; i++) {
      let seen: Witnessed | undefined;
      const longestMs = await turns.longestDuring(async () => {
        seen = await witness.beside(() => gather(world));
      });
      if (seen && longestMs < (best?.longestMs ?? Number.POSITIVE_INFINITY)) best = { what, longestMs, ...seen };
    }
    if (best) tried.push(best);
  }
  return tried;
}
