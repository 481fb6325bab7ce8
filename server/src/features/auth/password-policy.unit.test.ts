import { describe, expect, it } from 'vitest';
import { flawOf } from './password-policy.ts';

describe('passwords in production', () => {
  it.each(['', 'a', 'seven77', '😀'.repeat(7)])('%j is too short', async (password) => {
    expect(await flawOf(password, 'production')).toBe('must have 8 to 128 characters');
  });

  it.each(['x'.repeat(129), `${'😀'.repeat(128)}x`])('a longer one is refused', async (password) => {
    expect(await flawOf(password, 'production')).toBe('must have 8 to 128 characters');
  });

  it.each(['password', 'PassWord', '12345678', 'qwertyuiop', 'Password1', 'iloveyou'])(
    '%s is too common',
    async (password) => {
      expect(await flawOf(password, 'production')).toMatch(/commonest/);
    },
  );

  it.each([
    'tr0ub4dor&3',
    'ei-ght88',
    '😀'.repeat(8),
    'x'.repeat(128),
    '😀'.repeat(128),
    '        ',
    ' password',
    'e\u0301'.repeat(64),
  ])('%j will do, verbatim', async (password) => {
    expect(await flawOf(password, 'production')).toBeUndefined();
  });
});

describe('passwords in evaluation', () => {
  it.each(['1', 'password', ' ', 'x'.repeat(128)])('%j will do', async (password) => {
    expect(await flawOf(password, 'evaluation')).toBeUndefined();
  });

  it.each(['', 'x'.repeat(129)])('but not none, nor more than 128 characters', async (password) => {
    expect(await flawOf(password, 'evaluation')).toBe('must have 1 to 128 characters');
  });
});
