import sql, { join, type Sql } from 'sql-template-tag';

const secondMs = 1_000;
const dayMs = 86_400_000;
/** Moments whose bounds below stay within the years that texts can have. */
const leastMs = Date.parse('0000-01-05T00:00:00Z');
const greatestMs = Date.parse('9999-12-26T00:00:00Z');

/**
 * What kohort_instant demands of a text, but for its length and for the 29th of February. As a plain expression it costs a third
 * of a call.
 */
const form =
  '^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|[12][0-9]))([Tt]([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?$';

/** What UTC times look like in practice. Texts of one look are ordered as their instants, up to the length of `prefix`. */
const looks = [
  { like: ['____-__-__T__:__:__.___%Z', '____-__-__T__:__:__.___%+00:00'], unitMs: 1, prefix: 23 },
  { like: ['____-__-__T__:__:__Z', '____-__-__T__:__:__+00:00'], unitMs: secondMs, prefix: 19 },
  { like: ['____-__-__'], unitMs: dayMs, prefix: 10 },
] as const;

/**
 * Whether a text names an instant before or after a moment; may be null where the text is. Most texts are UTC: those are
 * compared as texts, and only the form of those that pass is looked at. The function is for the rest.
 */
export function textInstantSql(text: Sql, order: 'before' | 'after', ms: number): Sql {
  const asked = sql`coalesce(kohort_instant(${text}) ${order === 'before' ? sql`<` : sql`>`} ${ms}::bigint, FALSE)`;
  if (ms < leastMs || ms > greatestMs) return asked;
  // Instants are whole milliseconds, so `after` is `not before the next`.
  const from = order === 'before' ? ms : ms + 1;
  const compares = order === 'before' ? sql`<` : sql`>=`;
  const passes = (bound: string) => sql`${text} COLLATE "C" ${compares} ${bound}::text`;
  const isInstant = sql`length(${text}) <= 64 AND ${text} COLLATE "C" ~ ${form}::text AND (${text} NOT LIKE '____-02-29%' OR kohort_instant(${text}) IS NOT NULL)`;
  const arms = looks.map(({ like, unitMs, prefix }) => {
    const looksSo = join(
      like.map((pattern) => sql`${text} LIKE ${pattern}::text`),
      ' OR ',
    );
    const bound = new Date(Math.ceil(from / unitMs) * unitMs).toISOString().slice(0, prefix);
    return sql`WHEN ${looksSo} THEN ${passes(bound)} AND ${isInstant}`;
  });
  // An offset is less than a day, so the date alone excludes most texts.
  const day = Math.floor(from / dayMs) + (order === 'before' ? 2 : -1);
  const date = new Date(day * dayMs).toISOString().slice(0, 10);
  return sql`CASE ${join(arms, ' ')} ELSE ${passes(date)} AND ${asked} END`;
}
