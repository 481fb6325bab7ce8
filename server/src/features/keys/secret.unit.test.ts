import { describe, expect, it } from 'vitest';
import { drawApiKey, hashApiKey, isApiKey } from './secret.ts';

describe('API keys', () => {
  it('are 32 random bytes behind a prefix, kept as their SHA-256', () => {
    const key = drawApiKey('plain');
    expect(key).toMatch(/^kohort_[A-Za-z0-9_-]{43}$/);
    expect(drawApiKey('plain')).not.toBe(key);
    expect(hashApiKey(key)).toHaveLength(32);
    expect(isApiKey(key)).toBe(true);
  });

  it.each(['', 'kohort_', 'kohort_short', `${drawApiKey('plain')}x`, drawApiKey('plain').slice(1)])(
    '%j is not one',
    (text) => {
      expect(isApiKey(text)).toBe(false);
    },
  );
});
