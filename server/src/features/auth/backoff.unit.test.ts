import { describe, expect, it } from 'vitest';
import { accountMemorySeconds, blocks, freeFailures } from './backoff.ts';

describe('the blocks of an account', () => {
  it('begin with the 6th failure at 1 s and double to 15 min', () => {
    expect(freeFailures).toBe(5);
    expect(blocks).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900]);
  });

  it('allow fewer guesses a day to a caller who waits for failures to be forgotten than to one who keeps trying', () => {
    const waiting = ((freeFailures + 1) * 86_400) / accountMemorySeconds;
    expect(waiting).toBeLessThan(86_400 / (blocks.at(-1) ?? 0));
  });
});
