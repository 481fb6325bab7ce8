import { expect, test } from 'vitest';
import { createCall } from '../call.ts';
import { KohortError, ResyncRequired } from '../errors.ts';
import { type ChangeBatch, type FeedConnection, type FollowOptions, follow } from './follow.ts';

function untilAborted(signal: AbortSignal | null | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const stop = () => reject(signal?.reason);
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}

type Script = readonly (() => Response | Promise<Response>)[];

/** A service that gives these answers one after another, and what it was asked. */
function scripted(script: Script): { connection: FeedConnection; asked: string[] } {
  const asked: string[] = [];
  const answers = [...script];
  const send: typeof fetch = async (input, init) => {
    const { pathname, search } = new URL(String(input));
    asked.push(`${pathname.slice('/api/feeds/'.length)}${search}`);
    const answer = answers.shift();
    if (!answer) return untilAborted(init?.signal);
    return answer();
  };
  const callOnce = createCall({ url: 'http://kohort.test', fetch: send, retries: 0 });
  return { connection: { callOnce, random: () => 0, firstPauseMs: 1 }, asked };
}

const change = (id: string) => ({ id, type: 'entered', slug: 'A', user_id: Number(id), external_id: null });
const changes =
  (cursor: string, ...ids: string[]) =>
  () =>
    Response.json({ changes: ids.map(change), cursor });
const problem =
  (status: number, code: string, headers = {}) =>
  () =>
    new Response(JSON.stringify({ code }), { status, headers });
const cut = () => Promise.reject(new TypeError('fetch failed'));
const snapshot =
  (...lines: object[]) =>
  () =>
    new Response(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));

async function take(count: number, connection: FeedConnection, options: FollowOptions): Promise<ChangeBatch[]> {
  const batches: ChangeBatch[] = [];
  for await (const batch of follow(connection, 7, options)) if (batches.push(batch) === count) break;
  return batches;
}
const idsOf = (batches: readonly ChangeBatch[]) => batches.map(({ changes: all }) => all.map(({ id }) => id));

test('goes on from its cursor over all that passes, and says so', async () => {
  const script = [
    changes('b', '1', '2'),
    cut,
    problem(503, 'unavailable'),
    problem(500, 'internal'),
    changes('c', '3'),
  ];
  const { connection, asked } = scripted(script);
  const away: unknown[] = [];
  const batches = await take(2, connection, { after: 'a', onAway: (error) => away.push((error as Error).name) });
  expect(idsOf(batches)).toEqual([['1', '2'], ['3']]);
  expect(batches.map(({ cursor }) => cursor)).toEqual(['b', 'c']);
  expect(away).toEqual(['Unreachable', 'KohortError', 'KohortError']);
  expect(asked).toEqual(['a', 'b', 'b', 'b', 'b'].map((after) => `7/changes?after=${after}&limit=1000&wait=30`));
});

test('gives the cursor on where there are no changes, and says nothing where nothing moved', async () => {
  const { connection, asked } = scripted([changes('a'), changes('a'), changes('b'), changes('c', '1')]);
  const batches = await take(2, connection, { after: 'a', limit: 5, waitSeconds: 1 });
  expect(batches.map(({ cursor }) => cursor)).toEqual(['b', 'c']);
  expect(asked.at(-1)).toBe('7/changes?after=b&limit=5&wait=1');
});

test.each([401, 403, 404, 400])('a refusal with %i ends it', async (status) => {
  const { connection } = scripted([problem(status, 'x')]);
  await expect(take(1, connection, {})).rejects.toBeInstanceOf(KohortError);
});

test('a place that is gone is an error of its own', async () => {
  const { connection } = scripted([problem(410, 'resync')]);
  await expect(take(1, connection, { after: 'old' })).rejects.toBeInstanceOf(ResyncRequired);
});

test('or brings a snapshot, whole or again, and the changes after it', async () => {
  const ann = { slug: 'A', user_id: 2, external_id: 'ann' };
  const { connection, asked } = scripted([
    problem(410, 'resync'),
    snapshot(ann),
    problem(410, 'resync'),
    snapshot(ann, { slug: 'A', user_id: 3, external_id: null }, { cursor: 'new' }),
    changes('newer', '9'),
  ]);
  const snapshots: number[] = [];
  const batches = await take(1, connection, {
    after: 'old',
    async onResync(parts) {
      const at = snapshots.push(0) - 1;
      for await (const { members } of parts) snapshots[at] = (snapshots[at] ?? 0) + members.length;
    },
  });
  expect([snapshots, idsOf(batches)]).toEqual([[1, 2], [['9']]]);
  expect(asked.at(-1)).toContain('after=new&');
});

test('a snapshot that is not taken whole is a mistake of the caller', async () => {
  const { connection } = scripted([problem(410, 'resync'), snapshot({ cursor: 'new' })]);
  await expect(take(1, connection, { onResync: async () => undefined })).rejects.toThrow(TypeError);
});

test('ends at once when it is aborted, with the reason', async () => {
  const { connection } = scripted([changes('b', '1')]);
  const leave = new AbortController();
  const reason = new RangeError('enough');
  const all = async () => {
    for await (const _ of follow(connection, 7, { signal: leave.signal })) leave.abort(reason);
  };
  await expect(all()).rejects.toBe(reason);
});
