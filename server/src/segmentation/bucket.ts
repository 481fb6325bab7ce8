import { hash } from 'node:crypto';
import sql, { type Sql } from 'sql-template-tag';

const TWO_TO_32 = 2 ** 32;

/**
 * Where a key falls for a salt, from 0 to just under 100: the published formula (docs/percentage.md). A user is in when
 * `bucket(salt, key) < percentage`.
 */
export function bucket(salt: string, key: string): number {
  return bucketOfWord(firstWord(`${salt}:${key}`));
}

/**
 * The same in SQL, as `float8`. Compare it with a percentage of type `float8` or `numeric`: either gives the answer of
 * `bucket(salt, key) < percentage`.
 */
export function bucketSql(salt: Sql, key: Sql): Sql {
  const digest = sql`sha256(convert_to((${salt}) || ':' || (${key}), 'UTF8'))`;
  return bucketOfWordSql(sql`('x' || encode(substring(${digest} FROM 1 FOR 4), 'hex'))::bit(32)::bigint`);
}

/**
 * Nothing is rounded here: the word has 32 bits and 100 has 7, so every bucket is exact in a double. Nor can rounding a
 * percentage to a double carry it over a bucket: the two are equal, or at least 2^-40 apart.
 */
export function bucketOfWord(word: number): number {
  return (word / TWO_TO_32) * 100;
}

/** The same doubles in PostgreSQL. */
export function bucketOfWordSql(word: Sql): Sql {
  return sql`((${word})::float8 / 4294967296 * 100)`;
}

/**
 * Whether a value is a percentage: a number from 0 to 100 with at most 3 decimals. A double has 3 decimals when it is
 * the one nearest to such a decimal, which is how `0.1` and `33.333` arrive.
 */
export function isPercentage(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= 100 && Number(value.toFixed(3)) === value;
}

/** The first four bytes of SHA-256, big-endian. Of the encodings `binary` costs least: half of `buffer`. */
function firstWord(text: string): number {
  const digest = hash('sha256', text, 'binary');
  const [a, b, c, d] = [digest.charCodeAt(0), digest.charCodeAt(1), digest.charCodeAt(2), digest.charCodeAt(3)];
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}
