import { describe, expect, it } from 'vitest';
import type { Share } from '../concurrency/shares.ts';
import { CommonLane } from './common-lane.ts';

const waitMs = 60_000;

/** A lane whose places are given back one after another, and who got one, in that order. */
function watched(places: number) {
  const lane = new CommonLane(places, waitMs);
  const taken: Share[] = [];
  const order: string[] = [];
  return {
    lane,
    order,
    ask(party: string, times = 1) {
      for (let i = 0; i < times; i++) {
        void lane.enter(party).then((share) => {
          taken.push(share);
          order.push(party);
        });
      }
    },
    async settle() {
      await new Promise(setImmediate);
    },
    async leaveOne() {
      const share = taken.shift();
      if (share) lane.leave(share);
      await new Promise(setImmediate);
    },
    get taken() {
      return taken.length;
    },
  };
}

describe('the places of usual statements', () => {
  it('are not all for one party', async () => {
    const lane = watched(12);
    lane.ask('greedy', 100);
    await lane.settle();
    expect(lane.order).toEqual(Array.from({ length: 9 }, () => 'greedy'));
    lane.ask('other');
    await lane.settle();
    expect(lane.order.at(-1)).toBe('other');
  });

  it('pass from party to party, however many one of them waits for', async () => {
    const lane = watched(2);
    lane.ask('greedy', 1_000);
    lane.ask('second', 3);
    lane.ask('third', 2);
    await lane.settle();
    const first = lane.order.length;
    for (let i = 0; i < 9; i++) await lane.leaveOne();
    const rest = lane.order.slice(first, first + 8);
    expect(rest.filter((party) => party === 'second')).toHaveLength(3);
    expect(rest.filter((party) => party === 'third')).toHaveLength(2);
  });

  it('are taken in order of arrival within a party, and all come back', async () => {
    const lane = new CommonLane(1, waitMs);
    const held = await lane.enter('one');
    const order: number[] = [];
    const waiting = [1, 2, 3].map(async (n) => {
      const share = await lane.enter('one');
      order.push(n);
      lane.leave(share);
    });
    expect(lane.waiting).toBe(3);
    lane.leave(held);
    await Promise.all(waiting);
    expect([order, lane.waiting]).toEqual([[1, 2, 3], 0]);
  });

  it('are no longer waited for after a while', async () => {
    const lane = new CommonLane(1, 1);
    const held = await lane.enter('one');
    await expect(lane.enter('one')).rejects.toThrow('timeout exceeded');
    expect(lane.waiting).toBe(0);
    lane.leave(held);
    lane.leave(await lane.enter('two'));
  });
});
