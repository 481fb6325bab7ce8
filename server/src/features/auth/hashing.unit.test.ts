import { parseOptions } from '@node-rs/argon2';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { hashPassword, verifyPassword } from './hashing.ts';

const verified = vi.hoisted(() => {
  // Other files in this process may have loaded the real one.
  vi.resetModules();
  return [] as string[];
});
afterAll(() => void vi.resetModules());
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

  it('does the same work for an unknown account', async () => {
    verified.length = 0;
    expect(await verifyPassword(undefined, 'secret')).toBe(false);
    expect(verified).toHaveLength(1);
    expect(parseOptions(verified[0] ?? '')).toEqual(parseOptions(await hashPassword('secret')));
  });
});
