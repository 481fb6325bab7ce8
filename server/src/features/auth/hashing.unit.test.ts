import { setTimeout } from 'node:timers/promises';
import { Problem } from '@kohort/contract';
import { parseOptions } from '@node-rs/argon2';
import { describe, expect, it, vi } from 'vitest';
import { createSlots, hashPassword, verifyPassword } from './hashing.ts';

const verified = vi.hoisted(() => [] as string[]);
vi.mock('@node-rs/argon2', async (original) => {
  const real = await original<typeof import('@node-rs/argon2')>();
  return {
    ...real,
    verify: (hashed: string, password: string) => {
      verified.push(hashed);
      return real.verify(hashed, password);
    },
  };
});

describe('hashing', () => {
  it('is argon2id with m=19456, t=2, p=1', async () => {
    expect(await hashPassword('secret')).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  });

  it('tells the right password from a wrong one, verbatim', async () => {
    const hashed = await hashPassword(' päss ');
    expect(await verifyPassword(hashed, ' päss ')).toBe(true);
    expect(await verifyPassword(hashed, 'päss')).toBe(false);
    expect(await verifyPassword(hashed, ' pa\u0308ss ')).toBe(false);
  });

  it('does the same work for nobody', async () => {
    verified.length = 0;
    expect(await verifyPassword(undefined, 'secret')).toBe(false);
    expect(verified).toHaveLength(1);
    expect(parseOptions(verified[0] ?? '')).toEqual(parseOptions(await hashPassword('secret')));
  });
});

describe('slots', () => {
  it('run so many at once, in order, and refuse beyond the queue with 503', async () => {
    const inSlot = createSlots(2, 3);
    let running = 0;
    let most = 0;
    const order: number[] = [];
    const work = (n: number) =>
      inSlot(async () => {
        most = Math.max(most, ++running);
        await setTimeout(5);
        order.push(n);
        running--;
      });
    const all = await Promise.allSettled([0, 1, 2, 3, 4, 5].map(work));
    expect(most).toBe(2);
    expect(order).toEqual([0, 1, 2, 3, 4]);
    const refused = all[5]?.status === 'rejected' ? all[5].reason : undefined;
    expect(refused).toBeInstanceOf(Problem);
    expect(refused).toMatchObject({ code: 'overloaded', status: 503, headers: { 'retry-after': '1' } });
  });

  it('are given back by work that fails', async () => {
    const inSlot = createSlots(1, 1);
    await expect(
      inSlot(async () => {
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(await inSlot(async () => 'yes')).toBe('yes');
  });
});
