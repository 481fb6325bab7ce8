import sql, { empty, type Sql } from 'sql-template-tag';
import { indexOf } from '../condition.ts';

/** From each value of a path to the values of its next name. */
export function stepSql(from: Sql, name: string): Sql {
  const index = indexOf(name);
  const byIndex =
    index < 0
      ? empty
      : sql` UNION ALL SELECT ${from}.v -> ${index}::int, TRUE WHERE jsonb_typeof(${from}.v) = 'array' AND jsonb_array_length(${from}.v) > ${index}::int`;
  return sql`SELECT e -> ${name}::text AS v, FALSE AS named FROM jsonb_array_elements(CASE jsonb_typeof(${from}.v) WHEN 'array' THEN ${from}.v ELSE jsonb_build_array(${from}.v) END) AS e WHERE jsonb_typeof(e) = 'object' OR (jsonb_typeof(${from}.v) IS DISTINCT FROM 'array' AND NOT ${from}.named)${byIndex}`;
}

/**
 * An element of an array as a document; an array in the array is one with its indexes for names, as in MongoDB.
 * `OFFSET 0` keeps the planner from writing this out wherever the document is mentioned.
 */
export function documentSql(element: Sql): Sql {
  return sql`SELECT CASE jsonb_typeof(${element}) WHEN 'object' THEN ${element} WHEN 'array' THEN (SELECT coalesce(jsonb_object_agg((i - 1)::text, e), '{}') FROM jsonb_array_elements(${element}) WITH ORDINALITY AS items (e, i)) END AS document OFFSET 0`;
}
