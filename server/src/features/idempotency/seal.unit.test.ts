import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { createSeal } from './seal.ts';

const seal = createSeal('a secret of the service, and of nobody else');
const call = { actor: 'user:1', key: 'order-17', requestHash: randomBytes(32) };
const text = '{"id":1,"key":"kohort_Zm9vYmFy"}';

it('opens what it closed, for the same call', () => {
  expect(seal.open(call, seal.close(call, text))).toBe(text);
  expect(seal.open(call, seal.close(call, ''))).toBe('');
});

it('shows nothing, and never the same twice', () => {
  const [first, second] = [seal.close(call, text), seal.close(call, text)];
  expect(first.equals(second)).toBe(false);
  expect(first.toString('latin1')).not.toContain('kohort_');
});

it.each([
  ['another key', { ...call, key: 'order-18' }],
  ['another caller', { ...call, actor: 'user:2' }],
  ['another request', { ...call, requestHash: randomBytes(32) }],
])('does not open for %s', (_, other) => {
  expect(seal.open(other, seal.close(call, text))).toBeUndefined();
});

it('does not open by another secret, nor what was changed', () => {
  const sealed = seal.close(call, text);
  expect(createSeal('another secret').open(call, sealed)).toBeUndefined();
  for (let i = 0; i < sealed.length; i++) {
    const changed = Buffer.from(sealed);
    changed[i] = (changed[i] ?? 0) ^ 1;
    expect(seal.open(call, changed)).toBeUndefined();
  }
});
