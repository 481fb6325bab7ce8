import { expect, test } from 'vitest';
import { HalfSipHash } from './half-sip-hash.ts';

/** The reference's vectors: key 00…07, messages 00 01 02 … of that many bytes. */
test.each([
  [0, '218d1f59b9b83cc8'],
  [2, '064f39ef7c50eb57'],
  [4, 'd5e78a175be52ea1'],
  [6, 'ce3e91358aa2bc25'],
  [8, 'edfee820bce4858c'],
])('a text of %i bytes has the hash of the reference', (bytes, expected) => {
  const text = Buffer.from(Array.from({ length: bytes }, (_, i) => i)).toString('utf16le');
  const hash = new HalfSipHash(0x03020100, 0x07060504);
  hash.update(text);
  const found = Buffer.alloc(8);
  found.writeUInt32LE(hash.low, 0);
  found.writeUInt32LE(hash.high, 4);
  expect(found.toString('hex')).toBe(expected);
});

test('texts that begin alike have hashes of their own, and lengths count', () => {
  const hash = new HalfSipHash(1, 2);
  const texts = ['', '\0', '\0\0', '\0\0\0', 'a', 'a\0', 'ab', 'ba', 'é', 'e\u0301', 'x'.repeat(127), 'x'.repeat(255)];
  const seen = texts.map((text) => {
    hash.update(text);
    return `${hash.low} ${hash.high}`;
  });
  expect(new Set(seen).size).toBe(texts.length);
});
