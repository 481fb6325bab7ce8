import { endpoints } from '@kohort/contract';
import { eventually } from '@kohort/testkit/eventually.ts';
import { call, demand, fieldOf } from '@kohort/testkit/http.ts';
import { crowds } from './crowds.ts';
import { type Input, inputsOf } from './inputs.ts';
import type { Turns } from './turns.ts';
import { type Witnessed, witness } from './witness.ts';
import type { World } from './world.ts';

export interface Tried extends Input {
  readonly status: number;
  /** Processor milliseconds of the longest turn of the event loop. */
  readonly longestMs: number;
}

/** No turn is longer, on an idle machine. */
export const turnLimitMs = 50;
/** What else runs on a machine makes single turns long, the code makes every one so: the best of these counts. */
const attempts = 4;
/** It would end the session that all the others need. */
const leftOut = new Set(['signOut']);
const lastMethods = ['DELETE'];

async function send({ url, token }: World, input: Input): Promise<number> {
  const { method, path, headers, body } = input;
  const answer = await call(url, method, path, { token, headers, ...(body !== undefined && { body }) });
  if (answer.status !== 202) return answer.status;
  // What an upload costs comes after it was received.
  const job = fieldOf(JSON.parse(answer.text), 'job');
  await eventually(async () => {
    const state = fieldOf(await demand(url, 'GET', `/api/jobs/${job}`, { token }), 'state');
    return state === 'done' || state === 'failed' || state === 'cancelled';
  });
  return answer.status;
}

async function tryOne(world: World, input: Input, turns: Turns): Promise<Tried> {
  let status = 0;
  let longestMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < attempts && longestMs > turnLimitMs; i++) {
    const turn = await turns.longestDuring(async () => {
      status = await send(world, input);
    });
    longestMs = Math.min(longestMs, turn);
  }
  return { ...input, status, longestMs };
}

/** Every operation of the contract with the largest inputs it takes, and with larger ones, one at a time. */
export async function tryAll(world: World, turns: Turns, wanted: (input: Input) => boolean): Promise<Tried[]> {
  const order = endpoints.toSorted((a, b) => lastMethods.indexOf(a.method) - lastMethods.indexOf(b.method));
  const inputs = order.filter(({ id }) => !leftOut.has(id)).flatMap((endpoint) => inputsOf(endpoint, world));
  const tried: Tried[] = [];
  for (const input of inputs.filter(wanted)) tried.push(await tryOne(world, input, turns));
  return tried;
}

export interface TriedCrowd extends Witnessed {
  readonly what: string;
  readonly longestMs: number;
}

/** Many calls at the same time, with another caller beside them. */
export async function tryCrowds(world: World, turns: Turns): Promise<TriedCrowd[]> {
  const tried: TriedCrowd[] = [];
  for (const { what, gather } of crowds) {
    let best: TriedCrowd | undefined;
    for (let i = 0; i < attempts && (best?.longestMs ?? Number.POSITIVE_INFINITY) > turnLimitMs; i++) {
      let seen: Witnessed | undefined;
      const longestMs = await turns.longestDuring(async () => {
        seen = await witness(world, () => gather(world));
      });
      if (seen && longestMs < (best?.longestMs ?? Number.POSITIVE_INFINITY)) best = { what, longestMs, ...seen };
    }
    if (best) tried.push(best);
  }
  return tried;
}
