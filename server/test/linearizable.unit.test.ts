import { describe, expect, it } from 'vitest';
import { isLinearizable, type Operation } from './linearizable.ts';
import { createRegister } from './linearizable-register.ts';

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

describe('a register with one writer', () => {
  const is = (shown: number) => (version: number) => version === shown;

  it('shows a write that is under way, or does not', () => {
    const register = createRegister();
    const [early, late, between] = [register.read(), register.read(), register.read()];
    register.begin();
    expect(early(is(0))).toBe(true);
    expect(late(is(1))).toBe(true);
    register.acknowledge();
    // Sent before anything was acknowledged: either will do.
    expect(between(is(0))).toBe(true);
    expect(register.read()(is(1))).toBe(true);
  });

  it('never shows less than was acknowledged, less than was shown, or more than was sent', () => {
    const register = createRegister();
    expect(register.read()(is(1))).toBe(false);
    register.begin();
    register.acknowledge();
    expect(register.read()(is(0))).toBe(false);
    register.begin();
    expect(register.read()(is(2))).toBe(true);
    expect(register.read()(is(1))).toBe(false);
  });

  it('takes the least of what an answer may stand for', () => {
    const register = createRegister();
    register.begin();
    expect(register.read()(() => true)).toBe(true);
    expect(register.read()(is(0))).toBe(true);
  });
});
