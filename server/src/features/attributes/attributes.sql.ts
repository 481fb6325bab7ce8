import sql, { join, type Sql } from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';
import { inForm } from '../../postgres/forms.ts';
import type { Json } from '../../segmentation/conditions/json.ts';

export interface AttributeRow {
  readonly name: string;
  readonly types: Readonly<Record<string, number>>;
  readonly examples: readonly Json[];
  readonly users: number;
}

export interface SampleSize {
  readonly rows: number;
  /** Bounds on the names read from one object, and on the depth of objects. */
  readonly names: number;
  readonly depth: number;
  /** The most names that are reported. */
  readonly reported: number;
}

/** The planner's estimate of the number of users; -1 before the first ANALYZE. */
export async function selectRoughTotal(db: Db): Promise<number> {
  const ofTable = sql`SELECT c.reltuples::float8 AS total FROM pg_class c WHERE c.oid = 'users'::regclass`;
  const ofShards = sql`
    SELECT coalesce(sum(nullif(s.result::float8, -1)), -1)::float8 AS total
    FROM run_command_on_shards('users', 'SELECT reltuples::float8 FROM pg_class WHERE oid = ''%s''::regclass') s
    WHERE s.success`;
  const read = async (statement: Sql) => (await db.query<{ total: number }>(statement))[0]?.total ?? -1;
  return inForm(db, { single: () => read(ofTable), distributed: () => read(ofShards) });
}

export interface AttributeSample {
  readonly users: number;
  readonly sampled_at: Date;
  readonly attributes: readonly AttributeRow[];
}

/** Samples `percent` of the pages of the table of users, and summarizes their attributes. */
export function sampleAttributes(db: Db, percent: number, size: SampleSize): Promise<AttributeSample> {
  const sample = sql`SELECT u.attributes FROM users u TABLESAMPLE SYSTEM (${percent}::float8) LIMIT ${size.rows}`;
  return inForm(db, {
    single: () => sumUp(db, sample, size),
    // Citus recurses over no table of users: the sample is fetched, then summed up on the coordinator.
    distributed: async () => {
      const rows = await db.query<{ attributes: string }>(
        sql`SELECT s.attributes::text AS attributes FROM (${sample}) s`,
      );
      const texts = rows.map(({ attributes }) => attributes);
      return sumUp(db, sql`SELECT t.attributes FROM unnest(${texts}::jsonb[]) AS t(attributes)`, size);
    },
  });
}

/** `sample` is a query with the column attributes. */
async function sumUp(db: Db, sample: Sql, size: SampleSize): Promise<AttributeSample> {
  const rows = await db.query<AttributeSample>(sql`
    WITH RECURSIVE sample AS MATERIALIZED (${sample}), found AS (
      SELECT e.key AS name, e.value, 1 AS depth
      FROM sample s CROSS JOIN LATERAL (
        SELECT e.key, e.value FROM jsonb_each(s.attributes) e LIMIT ${size.names}
      ) e
      UNION ALL
      SELECT f.name || '.' || e.key, e.value, f.depth + 1
      FROM found f CROSS JOIN LATERAL (
        SELECT e.key, e.value
        FROM jsonb_each(CASE WHEN jsonb_typeof(f.value) = 'object' THEN f.value END) e LIMIT ${size.names}
      ) e
      WHERE f.depth < ${size.depth}
    ), valued AS (
      SELECT f.name, jsonb_typeof(f.value) AS type, v.example, count(*) AS users
      FROM found f
        CROSS JOIN LATERAL (
          SELECT CASE WHEN jsonb_typeof(f.value) = 'array' THEN f.value -> 0 ELSE f.value END AS value
        ) o
        CROSS JOIN LATERAL (
          SELECT CASE WHEN jsonb_typeof(o.value) IN ('string', 'number', 'boolean') AND length(o.value::text) <= 200
            THEN o.value END AS example
        ) v
      GROUP BY f.name, jsonb_typeof(f.value), v.example
    ), typed AS (
      SELECT v.name, CASE v.type WHEN 'boolean' THEN 'bool' ELSE v.type END AS type, sum(v.users) AS users
      FROM valued v GROUP BY v.name, v.type
    ), named AS (
      SELECT t.name, jsonb_object_agg(t.type, t.users) AS types, sum(t.users)::bigint AS users
      FROM typed t GROUP BY t.name ORDER BY sum(t.users) DESC, t.name LIMIT ${size.reported}
    ), ranked AS (
      SELECT v.name, v.example, row_number() OVER (PARTITION BY v.name ORDER BY sum(v.users) DESC, v.example) AS rank
      FROM valued v WHERE v.example IS NOT NULL GROUP BY v.name, v.example
    ), exemplified AS (
      SELECT r.name, jsonb_agg(r.example ORDER BY r.rank) AS examples FROM ranked r WHERE r.rank <= 5 GROUP BY r.name
    )
    SELECT (SELECT count(*) FROM sample) AS users, date_trunc('milliseconds', statement_timestamp()) AS sampled_at,
      coalesce((
        SELECT jsonb_agg(jsonb_build_object(
          'name', n.name, 'types', n.types, 'examples', coalesce(e.examples, '[]'), 'users', n.users
        ) ORDER BY n.users DESC, n.name)
        FROM named n LEFT JOIN exemplified e ON e.name = n.name
      ), '[]') AS attributes`);
  return rows[0] ?? { users: 0, sampled_at: new Date(), attributes: [] };
}

/** For each path, whether any user has a value there. One pass over the users answers all paths. */
export async function selectPathsFound(db: Db, paths: readonly string[]): Promise<boolean[]> {
  const found = paths.map((path) => sql`coalesce(bool_or(u.attributes @? ${path}::jsonpath), false)`);
  const rows = await db.rows<boolean[]>(sql`SELECT ${join(found, ', ')} FROM users u`);
  return rows[0] ?? paths.map(() => false);
}
