import { hash } from 'node:crypto';
import sql, { type Sql } from 'sql-template-tag';

const TWO_TO_32 = 2 ** 32;

/**
 * Where a key falls for a salt, from 0 to just under 100: the published formula (docs/percentage.md). A user is in when
 * `bucket(salt, key) < percentage`.
 */
export function bucket(salt: string, key: string): number {
  return bucketOfWord(wordOf(`${salt}:${key}`));
}

/**
 * Whether the bucket of a key lies in `[from, to)`, in SQL: never true for a key that is null. Digests are compared as bytes, which
 * orders them as their first words do, so PostgreSQL computes nothing but the digest.
 */
export function bucketWithinSql(salt: string, key: Sql, { from, to }: { from: number; to: number }): Sql {
  const digest = sql`sha256(convert_to(${`${salt}:`}::text || (${key}), 'UTF8'))`;
  const [first, end] = [firstWordOf(from), firstWordOf(to)];
  if (first >= end) return sql`false`;
  const isBelow = (word: number) =>
    word === TWO_TO_32 ? sql`${digest} IS NOT NULL` : sql`${digest} < ${bytesOf(word)}::bytea`;
  if (first === 0) return isBelow(end);
  if (end === TWO_TO_32) return sql`${digest} >= ${bytesOf(first)}::bytea`;
  // One digest for both bounds.
  return sql`width_bucket(${digest}, ARRAY[${bytesOf(first)}, ${bytesOf(end)}]::bytea[]) = 1`;
}

/** The lowest word whose bucket is not below a percentage, which is also how many are; 2^32 for all. */
export function firstWordOf(percentage: number): number {
  let word = Math.min(Math.floor((percentage / 100) * TWO_TO_32), TWO_TO_32);
  while (word > 0 && bucketOfWord(word - 1) >= percentage) word -= 1;
  while (word < TWO_TO_32 && bucketOfWord(word) < percentage) word += 1;
  return word;
}

/** A word as PostgreSQL reads bytes. */
function bytesOf(word: number): string {
  return `\\x${word.toString(16).padStart(8, '0')}`;
}

/**
 * Nothing is rounded here: the word has 32 bits and 100 has 7, so every bucket is exact in a double. Nor can rounding a
 * percentage to a double carry it over a bucket: the two are equal, or at least 2^-40 apart.
 */
export function bucketOfWord(word: number): number {
  return (word / TWO_TO_32) * 100;
}

/**
 * Whether a value is a percentage: a number from 0 to 100 with at most 3 decimals. A double has 3 decimals when it is
 * the one nearest to such a decimal, which is how `0.1` and `33.333` arrive.
 */
export function isPercentage(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= 100 && Number(value.toFixed(3)) === value;
}

/** The first four bytes of SHA-256, big-endian. Of the encodings `binary` costs least: half of `buffer`. */
function wordOf(text: string): number {
  const digest = hash('sha256', text, 'binary');
  const [a, b, c, d] = [digest.charCodeAt(0), digest.charCodeAt(1), digest.charCodeAt(2), digest.charCodeAt(3)];
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}
