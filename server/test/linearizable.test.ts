import { describe, expect, it } from 'vitest';
import { isLinearizable, type Operation } from './linearizable.ts';

const add = (sent: number, answered: number): Operation => ({ sent, answered, kind: 'add' });
const remove = (sent: number, answered: number): Operation => ({ sent, answered, kind: 'remove' });
const read = (sent: number, answered: number, member: boolean): Operation => ({ sent, answered, kind: 'read', member });

describe('linearizability of one pair', () => {
  it.each([
    ['nothing', []],
    ['a read of an acknowledged add', [add(0, 1), read(2, 3, true)]],
    ['a read that overlaps the add, either way', [add(0, 5), read(1, 2, false), read(3, 4, true)]],
    ['overlapping changes in either order', [add(0, 5), remove(1, 4), read(6, 7, true), read(8, 9, true)]],
  ])('holds for %s', (_, operations) => {
    expect(isLinearizable(operations)).toBe(true);
  });

  it.each([
    ['a stale read', [add(0, 1), read(2, 3, false)]],
    ['a read from the future', [read(0, 1, true), add(2, 3)]],
    ['an answer that goes back', [add(0, 9), read(1, 2, true), read(3, 4, false)]],
    ['a change that was lost', [add(0, 1), remove(2, 3), read(4, 5, true)]],
  ])('fails for %s', (_, operations) => {
    expect(isLinearizable(operations)).toBe(false);
  });
});
