import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { BREAKS, type Broken, type Draft } from './breaks.ts';
import { type OpenApi, type Operation, operationsOf } from './document.ts';
import { arbitraryOf, type Known } from './values.ts';
import { faultOf, type Heard } from './verdict.ts';
import { makeWorld, type Send, type Sent, type World } from './world.ts';

const answeredWithinMs = 20_000;
const MAX_ATTEMPTS = 50;
const MAX_UNTIL_SUCCESS = 200;
const FILES = [
  '',
  'external_id\nknown1\n',
  'user_id\n1\n',
  'user_id,expires_at\n1,now\n',
  '\ufeffexternal_id\r\n"a""b"\r\n',
  '{"external_id":"known2"}\n',
  '{"user_id":1e3}\n',
  'a,b\n1\n',
  '\0',
  '"',
  '[]\n',
];

/** Most calls add and remove segments; one, users. Most slugs are those of segments; some, of layers. */
function knownFor({ id, path }: Operation, { known }: World): Known {
  const { user = [], layer = [], feed = [], webhook = [] } = known;
  if (path.startsWith('/api/webhooks/')) return { ...known, id: webhook };
  if (path.startsWith('/api/layers')) return { ...known, slug: layer };
  if (path.startsWith('/api/feeds/')) return { ...known, id: feed };
  return id === 'changeMembers' ? { ...known, add: user, remove: user } : known;
}

function draftOf(draw: fc.GeneratorValue, operation: Operation, world: World): Draft {
  const { parameters, body, uploads } = operation;
  const known = knownFor(operation, world);
  const draft: Draft = { path: {}, query: [], headers: {}, body: undefined, credential: 'fitting' };
  for (const { name, in: place, required, schema } of parameters) {
    if (!required && draw(fc.boolean)) continue;
    // Nothing comes of waiting longer.
    const bounded = name === 'wait' ? { ...schema, maximum: 1 } : schema;
    const value = String(draw(() => arbitraryOf(bounded, known, name)));
    if (place === 'path') draft.path[name] = encodeURIComponent(value);
    else if (place === 'query') draft.query.push([name, encodeURIComponent(value)]);
    else if (name !== 'if-match') draft.headers[name] = value.replaceAll(/[^ -~]/g, '?');
  }
  // A copy, since it is broken in place and constants are drawn again.
  if (body) draft.body = structuredClone(draw(() => arbitraryOf(body, known)));
  if (uploads.length > 0) {
    draft.headers['content-type'] = draw(fc.constantFrom<string[]>, ...uploads);
    draft.raw = draw(fc.constantFrom<string[]>, ...FILES);
  }
  return draft;
}

export interface Tried {
  readonly operation: string;
  readonly what: string;
  readonly status: number;
}

/** One request of this kind, drawn and perhaps broken; throws what is wrong with its answer. */
async function tryOne(
  draw: fc.GeneratorValue,
  operation: Operation,
  world: World,
  { mayBreak }: { mayBreak: boolean },
): Promise<Tried | undefined> {
  const draft = draftOf(draw, operation, world);
  let broken: Broken = { what: 'as drawn' };
  if (mayBreak && draw(fc.nat, { max: 2 }) > 0) {
    const pick = <T>(items: readonly T[]): T => items[draw(fc.nat, { max: items.length - 1 })] as T;
    // What cannot be done to this request is passed over.
    const start = draw(fc.nat, { max: BREAKS.length - 1 });
    for (let i = 0; i < BREAKS.length; i++) {
      const done = BREAKS[(start + i) % BREAKS.length]?.(operation, draft, pick, draw);
      if (done) {
        broken = done;
        break;
      }
    }
  }
  const isOfKept = Object.values(draft.path).some((value) => world.kept.has(value));
  const harms = ['changeAccount', 'eraseUser', 'revokeKey'].includes(operation.id);
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name) => draft.path[name] ?? '');
  // Nothing, and dots, are not what a client could put there.
  if ((harms && isOfKept) || Object.values(draft.path).some((value) => /^\.{0,2}$/.test(value))) return undefined;
  const query = draft.query.map(([name, value]) => `${name}=${value}`).join('&');
  const token = await world.tokenFor(draft.credential, operation.id);
  const payload = draft.raw ?? (draft.body === undefined ? undefined : JSON.stringify(draft.body));
  const request = {
    method: operation.method,
    path: `${path}${query && `?${query}`}`,
    headers: {
      ...(operation.body && payload !== undefined && { 'content-type': 'application/json' }),
      ...draft.headers,
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    payload,
  };
  const answer = await answered(
    world.send,
    request,
    `${request.method} ${request.path.slice(0, 300)} ${JSON.stringify(draft.headers)} ${String(payload).slice(0, 600)}`,
  );
  world.heard(operation.id, draft.body, answer.status);
  // Throttled callers are refused before any state is read.
  const statuses = answer.status === 429 ? undefined : broken.statuses;
  const fault = faultOf(operation, answer, statuses);
  if (fault) {
    const sent = `${request.method} ${request.path.slice(0, 300)} ${JSON.stringify(draft.headers)} ${String(payload).slice(0, 600)}`;
    throw new Error(`${fault} (${broken.what}): ${sent}\n  answered ${answer.status}: ${answer.text.slice(0, 600)}`);
  }
  return { operation: operation.id, what: broken.what.split(' ')[0] ?? '', status: answer.status };
}

/** Every request gets an answer soon; a request that must be retried is retried. */
async function answered(send: Send, request: Sent, what: string): Promise<Heard> {
  for (let attempt = 1; ; attempt++) {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not answered: ${what}`)), answeredWithinMs);
    });
    const answer = await Promise.race([send(request), late]).finally(() => clearTimeout(timer));
    const isBusy = answer.status === 503 && /"code":"overloaded"/.test(answer.text) && answer.headers['retry-after'];
    if (!isBusy || attempt === MAX_ATTEMPTS) return answer;
    await sleep(200);
  }
}

export interface FuzzOptions {
  readonly send: Send;
  readonly adminPassword: string;
  readonly seed: number;
  /** Requests for each operation. */
  readonly runs: number;
  /** Empties the table `throttles`: so many wrong passwords would have every later sign-in refused. */
  readonly forgive: () => Promise<void>;
}

export interface Fuzzer {
  readonly operations: readonly Operation[];
  /** Rejects with the first request whose answer is not what the document says, and the seed. */
  tryOperation(operation: Operation): Promise<readonly Tried[]>;
}

/** Against any service that begins empty, in production mode with open sign-up: `npm run faults` has one, the tests another. */
export async function createFuzzer({ send, adminPassword, seed, runs, forgive }: FuzzOptions): Promise<Fuzzer> {
  const { text } = await send({ method: 'GET', path: '/openapi.json', headers: {}, payload: undefined });
  const operations = operationsOf(JSON.parse(text) as OpenApi);
  const world = await makeWorld(send, adminPassword);
  return {
    operations,
    async tryOperation(operation) {
      const tried: Tried[] = [];
      await forgive();
      await world.restore();
      // Hashing a password takes longer than a hundred other calls.
      const hashes =
        operation.path.startsWith('/auth/sign') || ['openSession', 'changePassword'].includes(operation.id);
      const assert = (numRuns: number, mayBreak: boolean) =>
        fc.assert(
          fc.asyncProperty(fc.gen(), async (draw) => {
            if (!mayBreak && tried.some(({ status }) => status < 300)) return;
            if (!mayBreak && hashes) await forgive();
            const one = await tryOne(draw, operation, world, { mayBreak });
            if (one) tried.push(one);
          }),
          { seed, numRuns, endOnFailure: true },
        );
      await assert(hashes ? Math.ceil(runs / 4) : runs, true);
      // Until one has succeeded: an operation that always refuses would be tried in vain.
      await assert(MAX_UNTIL_SUCCESS, false);
      return tried;
    },
  };
}

/** All operations in turn; a line for each that failed. */
export async function fuzz(options: FuzzOptions): Promise<{ requests: number; failures: string[] }> {
  const { operations, tryOperation } = await createFuzzer(options);
  const failures: string[] = [];
  let requests = 0;
  for (const operation of operations) {
    await tryOperation(operation).then(
      (tried) => {
        requests += tried.length;
      },
      // What was wrong is the cause; the message says how to draw it again.
      (error: Error) =>
        failures.push(
          [operation.id, error.cause instanceof Error ? error.cause.message : '', error.message].join(': '),
        ),
    );
  }
  return { requests, failures };
}
