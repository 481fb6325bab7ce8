import { describe, expect, it } from 'vitest';
import { SharedTurn, Turns } from './turns.ts';

/** A clock that only work moves, and what was worked in each turn of the event loop. */
function watchedLoop() {
  let now = 0;
  const loop = new SharedTurn(() => now);
  const workedMs: number[] = [];
  let isWatching = true;
  let before = 0;
  const watch = () => {
    workedMs.push(now - before);
    before = now;
    if (isWatching) setImmediate(watch);
  };
  setImmediate(watch);
  return {
    loop,
    work(milliseconds: number) {
      now += milliseconds;
    },
    /** Of the longest turn. */
    longest: () => {
      isWatching = false;
      return Math.max(...workedMs, now - before);
    },
  };
}

describe('work that becomes runnable at the same time', () => {
  it('shares one turn, however much of it there is', async () => {
    const { loop, work, longest } = watchedLoop();
    const stretch = async () => {
      const turns = new Turns({ loop });
      function* steps() {
        for (let i = 0; i < 20; i++) {
          work(0.5);
          yield;
        }
      }
      await turns.take(steps());
    };
    await Promise.all(Array.from({ length: 30 }, stretch));
    // Each of the thirty takes its first step before it asks, and the last one may begin just before the end.
    expect(longest()).toBeLessThanOrEqual(8 + 31 * 0.5);
  });

  it('takes one slice after another, not a whole turn each', async () => {
    const { loop, work } = watchedLoop();
    const order: string[] = [];
    const stretch = async (name: string, slices: number) => {
      const turns = new Turns({ loop });
      for (let i = 0; i < slices; i++) {
        await turns.pause();
        while (!turns.isOver) work(1);
        order.push(name);
      }
    };
    await Promise.all([stretch('a', 3), stretch('b', 3)]);
    expect(order).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
  });

  it('is overtaken by what is short', async () => {
    const { loop, work } = watchedLoop();
    const ended: string[] = [];
    const long = Array.from({ length: 20 }, async (_, i) => {
      const turns = new Turns({ loop });
      for (let n = 0; n < 50; n++) {
        work(1);
        if (turns.isOver) await turns.pause();
      }
      ended.push(`long ${i}`);
    });
    const short = (async () => {
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      const turns = new Turns({ loop });
      work(0.1);
      await turns.pause();
      work(0.1);
      ended.push('short');
    })();
    await Promise.all([...long, short]);
    expect(ended[0]).toBe('short');
  });

  it('is not kept waiting for good by newcomers', async () => {
    const { loop, work } = watchedLoop();
    let isDone = false;
    const long = (async () => {
      const turns = new Turns({ loop });
      for (let n = 0; n < 20; n++) {
        await turns.pause();
        work(2);
      }
      isDone = true;
    })();
    let newcomers = 0;
    const flood = async (): Promise<void> => {
      while (!isDone && newcomers < 10_000) {
        newcomers++;
        await new Turns({ loop }).pause();
        work(9);
      }
    };
    await Promise.all([long, flood(), flood(), flood()]);
    expect(newcomers).toBeLessThan(10_000);
  });
});
