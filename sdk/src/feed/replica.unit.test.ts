import { eventually } from '@kohort/testkit/eventually.ts';
import { expect, test } from 'vitest';
import { createCall } from '../call.ts';
import { KohortError, NotFollowed, StaleReplica, Unreachable } from '../errors.ts';
import { openReplica, type ReplicaOptions } from './replica.ts';

interface Told {
  readonly type: 'entered' | 'left';
  readonly slug: string;
  readonly user_id: number;
  readonly external_id: string | null;
}
const told = (type: Told['type'], slug: string, user_id: number, external_id: string | null = null): Told => ({
  type,
  slug,
  user_id,
  external_id,
});

/** A feed that follows A and B, with ann in A; questions are held until something happens. */
class ScriptedFeed {
  now = 0;
  types = ['entered', 'left', 'segment'];
  segments = ['A', 'B'];
  log: Told[] = [];
  /** Answers to give in place of one's own, each once. */
  readonly interruptions: (() => Response | Promise<Response>)[] = [];
  readonly asked: string[] = [];
  #held = new Set<() => void>();

  tell(...changes: readonly Told[]): void {
    this.log.push(...changes);
    this.answer();
  }

  /** Answers all that are held, whether or not there is something to say. */
  answer(): void {
    for (const wake of this.#held) wake();
  }

  get held(): number {
    return this.#held.size;
  }

  open(options: ReplicaOptions = {}) {
    const callOnce = createCall({ url: 'http://kohort.test', fetch: this.#fetch, retries: 0 });
    return openReplica({ callOnce, random: () => 0, firstPauseMs: 1 }, 7, options, () => this.now);
  }

  readonly #fetch: typeof fetch = async (input, init) => {
    const { pathname, searchParams } = new URL(String(input));
    const what = pathname.slice('/api/feeds/7'.length);
    this.asked.push(what);
    const interruption = this.interruptions.shift();
    if (interruption) return interruption();
    if (what === '') return Response.json({ id: 7, types: this.types, segments: this.segments, tags: null });
    if (what === '/snapshot') return new Response(this.#snapshot());
    const after = Number(searchParams.get('after'));
    if (this.log.length === after && searchParams.get('wait') !== '0') await this.#hold(init?.signal);
    return Response.json({ changes: this.log.slice(after), cursor: String(this.log.length) });
  };

  #snapshot(): string {
    const members = new Map<string, object>([['A2', { slug: 'A', user_id: 2, external_id: 'ann' }]]);
    for (const { type, ...member } of this.log) {
      const key = member.slug + member.user_id;
      if (type === 'entered') members.set(key, member);
      else members.delete(key);
    }
    return [...members.values(), { cursor: String(this.log.length) }]
      .map((line) => `${JSON.stringify(line)}\n`)
      .join('');
  }

  #hold(signal: AbortSignal | null | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = () => {
        this.#held.delete(wake);
        resolve();
      };
      this.#held.add(wake);
      signal?.addEventListener('abort', () => {
        this.#held.delete(wake);
        reject(signal.reason);
      });
    });
  }
}

const gone = () => new Response('{"code":"resync"}', { status: 410 });
const away = () => new Response('{"code":"unavailable"}', { status: 503 });

test('a replica answers about the snapshot and what came after it', async () => {
  const feed = new ScriptedFeed();
  const replica = await feed.open();
  expect([replica.slugs, replica.isIn('ext:ann', 'A'), replica.isIn('2', 'B')]).toEqual([['A', 'B'], true, false]);
  feed.tell(told('left', 'A', 2, 'ann'), told('entered', 'B', 2, 'ann'), told('entered', 'A', 3));
  await eventually(() => replica.cursor === '3');
  expect([replica.segmentsOf('ext:ann'), replica.segmentsOf('3'), replica.isIn('ext:ann', 'A')]).toEqual([
    ['B'],
    ['A'],
    false,
  ]);
  expect(() => replica.isIn('ext:ann', 'C')).toThrow(NotFollowed);
  replica.close();
});

test('it refuses past its age, with the cause, until it hears of the service again', async () => {
  const feed = new ScriptedFeed();
  const replica = await feed.open({ maxAgeMs: 30_000 });
  await eventually(() => feed.held === 1);
  feed.now = 10_000;
  feed.answer();
  await eventually(() => replica.ageMs === 0 && feed.held === 1);
  feed.now = 40_000;
  expect([replica.ageMs, replica.isIn('ext:ann', 'A')]).toEqual([30_000, true]);
  feed.now = 40_001;
  expect(() => replica.isIn('ext:ann', 'A')).toThrow(StaleReplica);
  expect(() => replica.segmentsOf('2')).toThrow(StaleReplica);

  feed.interruptions.push(away);
  await expect(replica.refresh()).rejects.toMatchObject({ code: 'unavailable' });
  const refused = await Promise.resolve()
    .then(() => replica.isIn('ext:ann', 'A'))
    .catch((error) => error);
  expect(refused).toMatchObject({ name: 'StaleReplica', cause: { code: 'unavailable' } });
  await replica.refresh();
  expect([replica.ageMs, replica.isIn('ext:ann', 'A')]).toEqual([0, true]);
  replica.close();
});

test('a refresh brings what the service says now', async () => {
  const feed = new ScriptedFeed();
  const replica = await feed.open();
  await eventually(() => feed.held === 1);
  feed.log.push(told('entered', 'B', 5));
  await Promise.all([replica.refresh(), replica.refresh()]);
  expect(replica.isIn('5', 'B')).toBe(true);
  replica.close();
});

test('it begins again with a snapshot when its place is gone, and answers meanwhile', async () => {
  const feed = new ScriptedFeed();
  const replica = await feed.open();
  await eventually(() => feed.held === 1);
  let release = () => {};
  const later = new Promise<Response>((resolve) => {
    release = () => resolve(away());
  });
  feed.interruptions.push(gone, () => later);
  feed.tell(told('entered', 'A', 3), told('left', 'A', 2, 'ann'));
  feed.log.push(told('entered', 'B', 4));
  // The answer that was held goes out; the next question finds its place gone.
  await eventually(() => replica.cursor === undefined);
  expect(replica.isIn('3', 'A')).toBe(true);
  release();
  await eventually(() => replica.cursor === '3');
  expect([replica.isIn('ext:ann', 'A'), replica.isIn('3', 'A'), replica.isIn('4', 'B')]).toEqual([false, true, true]);
  replica.close();
});

test('it begins again when the feed follows something else, and ends when it says too little', async () => {
  const feed = new ScriptedFeed();
  const failures: unknown[] = [];
  const replica = await feed.open({ maxAgeMs: 30_000, onAway: (error) => failures.push(error) });
  await eventually(() => feed.held === 1);
  feed.segments = ['A', 'C'];
  for (const _ of [1, 2]) {
    feed.now += 10_000;
    await replica.refresh();
  }
  await eventually(() => replica.slugs.join() === 'A,C');
  expect(() => replica.isIn('2', 'B')).toThrow(NotFollowed);
  expect(replica.isIn('2', 'A')).toBe(true);
  feed.types = ['entered', 'left'];
  feed.now += 10_000;
  await replica.refresh();
  await eventually(() => failures.length === 1);
  expect(failures).toEqual([expect.any(TypeError)]);
  await expect(replica.refresh()).rejects.toThrow(TypeError);
});

test('a snapshot that breaks off is read again', async () => {
  const feed = new ScriptedFeed();
  const failures: unknown[] = [];
  feed.interruptions.push(away, () => new Response('{"slug":"A","user_id":9,"external_id":null}\n'));
  const replica = await feed.open({ onAway: (error) => failures.push(error) });
  expect([replica.isIn('9', 'A'), replica.isIn('2', 'A')]).toEqual([false, true]);
  expect(failures).toEqual([expect.any(KohortError), expect.any(Unreachable)]);
  replica.close();
});

test('it ends when it is closed or aborted', async () => {
  const feed = new ScriptedFeed();
  const leave = new AbortController();
  const replica = await feed.open({ signal: leave.signal });
  await eventually(() => feed.held === 1);
  leave.abort(new RangeError('enough'));
  expect(() => replica.isIn('2', 'A')).toThrow(
    expect.objectContaining({ name: 'StaleReplica', cause: leave.signal.reason }),
  );
  await expect(replica.refresh()).rejects.toBe(leave.signal.reason);
  await eventually(() => feed.held === 0);
  const { length } = feed.asked;
  await expect(feed.open({ signal: leave.signal })).rejects.toBe(leave.signal.reason);
  expect(feed.asked).toHaveLength(length);
});

test('it refuses what it cannot serve', async () => {
  const feed = new ScriptedFeed();
  await expect(feed.open({ maxAgeMs: 10 })).rejects.toThrow(RangeError);
  feed.types = ['entered', 'left'];
  await expect(feed.open()).rejects.toThrow(TypeError);
  feed.interruptions.push(() => new Response('{"code":"feed_unknown"}', { status: 404 }));
  await expect(feed.open()).rejects.toMatchObject({ code: 'feed_unknown' });
});
