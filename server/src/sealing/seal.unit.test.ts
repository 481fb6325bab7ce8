import { describe, expect, it } from 'vitest';
import { deriveKey, openText, sealText } from './seal.ts';

const secret = 'a secret of the service, of more than 32 bytes';
const key = deriveKey(secret, 'tests');
const boundTo = Buffer.from('row 1');
const text = 'whsec_ größe';

describe('a sealed text', () => {
  it('opens with its key', () => {
    expect(openText(deriveKey(secret, 'tests'), boundTo, sealText(key, boundTo, text))).toBe(text);
    expect(openText(key, boundTo, sealText(key, boundTo, ''))).toBe('');
  });

  it('is another one each time, and does not show the text', () => {
    const sealed = sealText(key, boundTo, text);
    expect(sealed.equals(sealText(key, boundTo, text))).toBe(false);
    expect(sealed.includes('whsec_')).toBe(false);
  });

  it.each([
    ['another secret', deriveKey(`${secret}!`, 'tests'), boundTo],
    ['another purpose', deriveKey(secret, 'other tests'), boundTo],
    ['another salt', deriveKey(secret, 'tests', 'salt'), boundTo],
    ['another place', key, Buffer.from('row 2')],
  ])('does not open for %s', (_, otherKey, otherPlace) => {
    expect(openText(otherKey, otherPlace, sealText(key, boundTo, text))).toBeUndefined();
  });

  it('does not open once a byte of it is changed or missing', () => {
    const sealed = sealText(key, boundTo, text);
    for (let i = 0; i < sealed.length; i++) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8((sealed[i] ?? 0) ^ 1, i);
      expect(openText(key, boundTo, changed)).toBeUndefined();
      expect(openText(key, boundTo, sealed.subarray(0, i))).toBeUndefined();
    }
  });
});
