import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '@kohort/contract';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { work } from '../../test/turns.ts';
import { coalesce } from './batch.ts';

const limits = { maxBatch: 256, concurrency: 1, maxWaiting: 1_000 };

/** A `run` that is answered when the test says so. */
function held() {
  const batches: { asks: readonly number[]; answer: () => void; fail: (error: Error) => void }[] = [];
  const run = (asks: readonly number[]) =>
    new Promise<number[]>((resolve, reject) => {
      batches.push({ asks, answer: () => resolve(asks.map((ask) => ask * 10)), fail: reject });
    });
  return { batches, run };
}

/** More turns of the event loop than calls are gathered in. */
async function turn(): Promise<void> {
  await sleep(2);
  for (let i = 0; i < 40; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** The sizes of statements while each turn of the event loop brings one more call, until the first of them is sent. */
async function gathered({
  holdMs,
  onTurn = () => undefined,
}: {
  holdMs: number;
  onTurn?: () => void;
}): Promise<number[]> {
  const sizes: number[] = [];
  const call = coalesce<number, number>({
    ...limits,
    holdMs,
    run: async (asks) => {
      sizes.push(asks.length);
      return [...asks];
    },
  });
  const all = [call(0), call(1)];
  while (sizes.length === 0 && all.length < 100) {
    await new Promise((resolve) => setImmediate(resolve));
    onTurn();
    all.push(call(all.length));
  }
  expect(await Promise.all(all)).toEqual([...all.keys()]);
  return sizes;
}

describe('coalescing', () => {
  it('sends a lone call at once, and calls of one turn together', async () => {
    const { batches, run } = held();
    const call = coalesce({ ...limits, run });
    const first = [call(1), call(2), call(3)];
    await turn();
    expect(batches.map(({ asks }) => asks)).toEqual([[1, 2, 3]]);
    batches[0]?.answer();
    expect(await Promise.all(first)).toEqual([10, 20, 30]);
  });

  it('gathers calls while each turn of the event loop brings more, but for a few turns only', async () => {
    const sizes = await gathered({ holdMs: 60_000 });
    expect(sizes[0]).toBeGreaterThan(16);
    expect(sizes[0]).toBeLessThan(48);
  });

  it('gathers no longer than it would hold, if turns are long', async () => {
    const sizes = await gathered({ holdMs: 2, onTurn: () => work(1) });
    expect(sizes[0]).toBeLessThan(8);
  });

  it('gathers after a statement as well, however long the first of its calls has waited', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const { batches, run } = held();
    const call = coalesce({ ...limits, run });
    const all = [call(0)];
    await turn();
    all.push(call(1));
    vi.advanceTimersByTime(1_000);
    batches[0]?.answer();
    while (batches.length < 2 && all.length < 100) {
      await new Promise((resolve) => setImmediate(resolve));
      all.push(call(all.length));
    }
    expect(batches[1]?.asks.length).toBeGreaterThan(16);
    batches[1]?.answer();
    await turn();
    batches[2]?.answer();
    expect(await Promise.all(all)).toEqual(all.map((_, i) => i * 10));
  });

  it('puts what arrives meanwhile into the next statement, so that no answer is older than its call', async () => {
    const { batches, run } = held();
    const call = coalesce({ ...limits, run });
    const first = call(1);
    await turn();
    const later = [call(2), call(3)];
    await turn();
    expect(batches).toHaveLength(1);
    expect([call.waiting(), call.inFlight()]).toEqual([2, 1]);
    batches[0]?.answer();
    expect(await first).toBe(10);
    await turn();
    expect(batches[1]?.asks).toEqual([2, 3]);
    batches[1]?.answer();
    expect(await Promise.all(later)).toEqual([20, 30]);
    expect([call.waiting(), call.inFlight()]).toEqual([0, 0]);
  });

  it('keeps to the size of a statement and to the number of them', async () => {
    const { batches, run } = held();
    const call = coalesce({ ...limits, run, maxBatch: 2, concurrency: 2 });
    const all = [1, 2, 3, 4, 5].map((ask) => call(ask));
    await turn();
    expect(batches.map(({ asks }) => asks)).toEqual([
      [1, 2],
      [3, 4],
    ]);
    batches[1]?.answer();
    await turn();
    expect(batches[2]?.asks).toEqual([5]);
    batches[0]?.answer();
    batches[2]?.answer();
    expect(await Promise.all(all)).toEqual([10, 20, 30, 40, 50]);
  });

  it('keeps to the size of all asks of a statement, and sends a larger one alone', async () => {
    const { batches, run } = held();
    const call = coalesce({ ...limits, maxBatch: 3, size: { of: (ask: number) => ask, max: 10 }, run });
    const all = [4, 6, 1, 2, 3, 4, 25, 10, 1].map((ask) => call(ask));
    const statements = [[4, 6], [1, 2, 3], [4], [25], [10], [1]];
    for (let sent = 1; sent <= statements.length; sent++) {
      await turn();
      expect(batches.map(({ asks }) => asks)).toEqual(statements.slice(0, sent));
      batches[sent - 1]?.answer();
    }
    expect(await Promise.all(all)).toEqual([40, 60, 10, 20, 30, 40, 250, 100, 10]);
  });

  it('holds nothing back beside another statement when no more would fit', async () => {
    const { batches, run } = held();
    const size = { of: (ask: number) => ask, max: 10 };
    const call = coalesce({ ...limits, concurrency: 2, holdMs: 60_000, size, run });
    const all = [1, 2, 3].map((ask) => call(ask));
    await turn();
    all.push(call(4), call(6));
    await turn();
    expect(batches.map(({ asks }) => asks)).toEqual([
      [1, 2, 3],
      [4, 6],
    ]);
    for (const { answer } of batches) answer();
    expect(await Promise.all(all)).toEqual([10, 20, 30, 40, 60]);
  });

  it('sends no statement beside another that would serve fewer than the last, and none waits long for others', async () => {
    const { batches, run } = held();
    const call = coalesce({ ...limits, run, concurrency: 3, holdMs: 60_000 });
    const all = [1, 2, 3].map((ask) => call(ask));
    await turn();
    all.push(call(4), call(5));
    await turn();
    expect(batches.map(({ asks }) => asks)).toEqual([[1, 2, 3]]);
    all.push(call(6));
    await turn();
    expect(batches.map(({ asks }) => asks)).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    all.push(call(7));
    await turn();
    expect(batches).toHaveLength(2);
    batches[1]?.answer();
    await turn();
    // Another is still in flight.
    expect(batches).toHaveLength(2);
    batches[0]?.answer();
    await turn();
    expect(batches[2]?.asks).toEqual([7]);
    all.push(call(8));
    await turn();
    // The last served one: where calls are few, each leaves at once.
    expect(batches[3]?.asks).toEqual([8]);
    for (const { answer } of batches) answer();
    expect(await Promise.all(all)).toEqual([10, 20, 30, 40, 50, 60, 70, 80]);
  });

  it('sends a small statement all the same once its callers have waited', async () => {
    const { batches, run } = held();
    const call = coalesce({ ...limits, run, concurrency: 2, holdMs: 1 });
    const all = [1, 2, 3].map((ask) => call(ask));
    await turn();
    all.push(call(4));
    await expect.poll(() => batches.map(({ asks }) => asks)).toEqual([[1, 2, 3], [4]]);
    for (const { answer } of batches) answer();
    expect(await Promise.all(all)).toEqual([10, 20, 30, 40]);
  });

  it('fails one caller alone when its answer is an error', async () => {
    const call = coalesce<number, number>({
      ...limits,
      run: async (asks) => asks.map((ask) => (ask === 2 ? new Error('two') : ask)),
    });
    const [one, two, three] = await Promise.allSettled([call(1), call(2), call(3)]);
    expect([one, three]).toEqual([
      { status: 'fulfilled', value: 1 },
      { status: 'fulfilled', value: 3 },
    ]);
    expect(two).toMatchObject({ status: 'rejected', reason: { message: 'two' } });
  });

  it.each<[string, (asks: readonly number[]) => Promise<number[]>]>([
    ['rejects', async () => Promise.reject(new Error('broken'))],
    [
      'throws before it begins',
      () => {
        throw new Error('broken');
      },
    ],
    ['answers too few', async (asks) => asks.slice(1)],
    ['answers too many', async (asks) => [...asks, 0]],
    ['answers nothing', async () => []],
  ])('rejects every caller when the statement %s, and goes on', async (_, broken) => {
    let works = false;
    const call = coalesce<number, number>({
      ...limits,
      run: async (asks) => (works ? [...asks] : broken(asks)),
    });
    const all = await Promise.allSettled([call(1), call(2)]);
    expect(all.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    works = true;
    expect(await call(3)).toBe(3);
    expect([call.waiting(), call.inFlight()]).toEqual([0, 0]);
  });

  it('loses no caller when the observer throws', async () => {
    let broken = true;
    const call = coalesce<number, number>({
      ...limits,
      run: async (asks) => [...asks],
      observe: () => {
        if (broken) throw new Error('observer');
      },
    });
    await expect(call(1)).rejects.toThrow('observer');
    broken = false;
    expect(await call(2)).toBe(2);
  });

  it('refuses with 503 and Retry-After when too many wait, and takes calls again afterwards', async () => {
    const { batches, run } = held();
    const call = coalesce({ ...limits, run, maxWaiting: 2 });
    const first = call(1);
    await turn();
    const waiting = [call(2), call(3)];
    const refused = await call(4).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Problem);
    expect(refused).toMatchObject({ status: 503, code: 'overloaded', headers: { 'retry-after': '1' } });
    batches[0]?.answer();
    await first;
    await turn();
    const again = call(5);
    batches[1]?.answer();
    expect(await Promise.all(waiting)).toEqual([20, 30]);
    await turn();
    batches[2]?.answer();
    expect(await again).toBe(50);
  });

  it('refuses those who have waited too long, and serves those who came later', async () => {
    const { batches, run } = held();
    const call = coalesce({ ...limits, run, maxWait: 50 });
    const first = call(1);
    await turn();
    const late = call(2).catch((error: unknown) => error);
    // Longer than its limit.
    await sleep(60);
    const soon = call(3);
    batches[0]?.answer();
    await first;
    expect(await late).toMatchObject({ status: 503, code: 'overloaded', headers: { 'retry-after': '1' } });
    await turn();
    expect(batches[1]?.asks).toEqual([3]);
    batches[1]?.answer();
    expect(await soon).toBe(30);
  });

  it('never puts two asks of one key into a statement, nor two under way, and keeps their order', async () => {
    const { batches, run } = held();
    const call = coalesce({ ...limits, run, concurrency: 3, keyOf: (ask) => String(ask % 10) });
    const all = Promise.allSettled([1, 11, 2, 21, 12].map((ask) => call(ask)));
    await turn();
    expect(batches.map(({ asks }) => asks)).toEqual([[1, 2]]);
    batches[0]?.answer();
    await turn();
    expect(batches[1]?.asks).toEqual([11, 12]);
    batches[1]?.fail(new Error('lost'));
    await turn();
    expect(batches[2]?.asks).toEqual([21]);
    batches[2]?.answer();
    expect((await all).map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
      'rejected',
    ]);
  });

  it('answers everybody, once, with their own answer, in order per key, within its bounds, whatever happens', async () => {
    const outcome = fc.constantFrom('fine', 'own error', 'statement fails', 'wrong count');
    const asks = fc.array(
      fc.record({ key: fc.integer({ min: 0, max: 4 }), pause: fc.integer({ min: 0, max: 2 }), outcome }),
      { maxLength: 60 },
    );
    const bounds = fc.record({ maxBatch: fc.integer({ min: 1, max: 5 }), concurrency: fc.integer({ min: 1, max: 3 }) });
    await fc.assert(
      fc.asyncProperty(asks, bounds, async (plan, { maxBatch, concurrency }) => {
        const sent: number[] = [];
        let running = 0;
        const busy = new Set<number>();
        const keyOf = (i: number) => plan[i]?.key ?? 0;
        const call = coalesce<number, number>({
          maxBatch,
          concurrency,
          maxWaiting: 1_000,
          keyOf: (i) => String(keyOf(i)),
          run: async (batch) => {
            expect(batch.length).toBeLessThanOrEqual(maxBatch);
            expect(++running).toBeLessThanOrEqual(concurrency);
            const keys = batch.map(keyOf);
            expect(new Set(keys).size).toBe(keys.length);
            for (const key of keys) {
              expect(busy.has(key)).toBe(false);
              busy.add(key);
            }
            sent.push(...batch);
            await new Promise((resolve) => setImmediate(resolve));
            running--;
            for (const key of keys) busy.delete(key);
            const outcomes = batch.map((i) => plan[i]?.outcome);
            if (outcomes.includes('statement fails')) throw new Error('statement');
            if (outcomes.includes('wrong count')) return [];
            return batch.map((i) => (plan[i]?.outcome === 'own error' ? new Error(`own ${i}`) : i));
          },
        });
        const calls: Promise<number>[] = [];
        for (const [i, { pause }] of plan.entries()) {
          for (let n = 0; n < pause; n++) await new Promise((resolve) => setImmediate(resolve));
          calls.push(call(i));
          calls.at(-1)?.catch(() => undefined);
        }
        const results = await Promise.allSettled(calls);
        expect([...sent].sort((a, b) => a - b)).toEqual(plan.map((_, i) => i));
        for (const key of new Set(plan.map((one) => one.key))) {
          const ofKey = sent.filter((i) => keyOf(i) === key);
          expect(ofKey).toEqual([...ofKey].sort((a, b) => a - b));
        }
        for (const [i, result] of results.entries()) {
          if (result.status === 'fulfilled') expect(result.value).toBe(i);
          else expect(plan[i]?.outcome === 'fine' && result.reason.message.startsWith('own')).toBe(false);
        }
        expect([call.waiting(), call.inFlight()]).toEqual([0, 0]);
      }),
      { numRuns: 100 },
    );
  });
});
