import { hash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitsLane, maxSalts, SaltedWords } from './salted-words.ts';

const wordOf = (salt: string, key: string) => hash('sha256', `${salt}:${key}`, 'buffer').readUInt32BE(0);
const drawSalt = () => randomBytes(16).toString('hex');
const ascii = fc.string({ unit: 'binary-ascii', maxLength: 214 });

describe('first words of digests, several at a time', () => {
  it('are those of SHA-256, however many salts there are and however long a key is', () => {
    const salts = Array.from({ length: 50 }, drawSalt);
    const words = new SaltedWords(salts);
    for (let length = 0; length <= 214; length++) {
      const key = 'k'.repeat(length);
      expect(Array.from(words.of(key) ?? [])).toEqual(salts.map((salt) => wordOf(salt, key)));
    }
  });

  it('are those of SHA-256 for every key of ASCII', () => {
    fc.assert(
      fc.property(fc.array(ascii, { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 9 }), (keys, count) => {
        const salts = Array.from({ length: count }, drawSalt);
        const words = new SaltedWords(salts);
        for (const key of keys) {
          expect(Array.from(words.of(key) ?? [])).toEqual(salts.map((salt) => wordOf(salt, key)));
        }
      }),
    );
  });

  it('are those of SHA-256 for as many salts as there can be, and for messages of one to four blocks', () => {
    const salts = Array.from({ length: maxSalts }, drawSalt);
    const [words, others] = [new SaltedWords(salts), new SaltedWords(salts.toReversed())];
    for (const length of [1, 22, 23, 86, 87, 150, 151, 214]) {
      const key = 'k'.repeat(length);
      expect(Array.from(words.of(key) ?? [])).toEqual(salts.map((salt) => wordOf(salt, key)));
      others.of(key);
    }
  });

  it('keep apart who asks by turns', () => {
    const [a, b] = [drawSalt(), drawSalt()];
    const [first, second] = [new SaltedWords([a]), new SaltedWords([b, a])];
    for (const key of ['1', '2']) {
      expect(first.of(key)?.[0]).toBe(wordOf(a, key));
      expect(second.of(key)?.[0]).toBe(wordOf(b, key));
      expect(second.of(key)?.[1]).toBe(wordOf(a, key));
    }
  });

  it('leave what they cannot do to the caller', () => {
    const words = new SaltedWords([drawSalt()]);
    expect(words.of('é')).toBeUndefined();
    expect(words.of('k'.repeat(215))).toBeUndefined();
    expect(['', 'short', 'é'.repeat(32), drawSalt()].map(fitsLane)).toEqual([false, false, false, true]);
  });
});
