import sql, { raw, type Sql } from 'sql-template-tag';
import type { Comparison } from '../condition.ts';
import { releaseOf } from '../version.ts';

export const versionOperators = { eq: '=', gt: '>', gte: '>=', lt: '<', lte: '<=' } as const;

/** So short that each numeral fits a bigint. */
const maxLength = 20;
const maxDigits = 18;
const releaseForm = '^[0-9]+[.][0-9]+[.][0-9]+$';

/**
 * Whether a text is a version that compares so with the one of a key; never null but where the text is. Most texts are releases
 * like 1.10.0: those are compared by their numbers, at a quarter of the cost of the function, which is for the rest.
 */
export function textVersionSql(text: Sql, operator: Comparison | 'eq', key: string): Sql {
  const asked = sql`coalesce(kohort_version_key(${text}) COLLATE "C" ${raw(versionOperators[operator])} ${key}::text, FALSE)`;
  const { numerals, isPreRelease } = releaseOf(key);
  if (numerals.some((numeral) => numeral.length > maxDigits)) return asked;
  const [major, minor, patch] = numerals;
  const part = (place: number) => sql`split_part(${text}, '.', ${place}::int)::bigint`;
  const compares = (how: string) =>
    sql`(${part(1)}, ${part(2)}, ${part(3)}) ${raw(how)} (${major}::bigint, ${minor}::bigint, ${patch}::bigint)`;
  const passes = isPreRelease ? besidePreRelease(operator, compares) : compares(versionOperators[operator]);
  return sql`CASE WHEN length(${text}) <= ${maxLength}::int AND ${text} COLLATE "C" ~ ${releaseForm}::text THEN ${passes} ELSE ${asked} END`;
}

/** Where the operand is a pre-release: it is just below its own release, and no release is equal to it. */
function besidePreRelease(operator: Comparison | 'eq', compares: (how: string) => Sql): Sql {
  if (operator === 'eq') return raw('FALSE');
  return compares(operator === 'gt' || operator === 'gte' ? '>=' : '<');
}
