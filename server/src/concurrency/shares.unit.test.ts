import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Share, Shares } from './shares.ts';

function fill(shares: Shares, party: string): Share[] {
  const taken: Share[] = [];
  for (let share = shares.take(party); share; share = shares.take(party)) taken.push(share);
  return taken;
}

describe('shares', () => {
  it('leave room for the next, however greedy the others are', () => {
    const shares = new Shares(4_000, 7);
    expect(['a', 'b', 'c'].map((party) => fill(shares, party).length)).toEqual([3_500, 438, 55]);
    expect(shares.take('d')).toBeDefined();
  });

  it('are even once places come free', () => {
    const shares = new Shares(100, 3);
    const first = fill(shares, 'first');
    expect(first).toHaveLength(75);
    // The first keeps asking: each place it gives back goes to the one that has less.
    for (let i = 0; i < 75; i++) {
      const share = first.pop();
      if (share) shares.release(share);
      fill(shares, 'second');
      first.push(...fill(shares, 'first'));
    }
    expect(first.length).toBeLessThanOrEqual(43);
  });

  it('never exceed their places, and all come back', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.record({ party: fc.constantFrom('a', 'b', 'c'), leaves: fc.boolean() }), { maxLength: 200 }),
        (places, factor, steps) => {
          const shares = new Shares(places, factor);
          const taken: Share[] = [];
          for (const { party, leaves } of steps) {
            const share = leaves ? taken.pop() : shares.take(party);
            if (leaves && share) shares.release(share);
            else if (share) taken.push(share);
            expect(shares.taken).toBe(taken.length);
            expect(shares.taken).toBeLessThanOrEqual(places);
          }
          for (const share of taken) shares.release(share);
          expect(fill(shares, 'a').length).toBe(Math.ceil((factor * places) / (1 + factor)));
        },
      ),
    );
  });
});
