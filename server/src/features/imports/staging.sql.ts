import sql, { raw, type Sql } from 'sql-template-tag';
import type { JobRow } from '../../jobs/queue.ts';
import type { Database, Db } from '../../postgres/database.ts';
import { StaleRead } from '../../postgres/stale-read.ts';
import { memberColumns } from './member-rows.ts';
import { userColumns } from './user-rows.ts';

export type ImportKind = 'segment_import' | 'user_import';

const SHAPES: Readonly<Record<ImportKind, { columns: string; types: Sql }>> = {
  segment_import: {
    columns: memberColumns,
    types: sql`line bigint NOT NULL, user_id bigint, external_id text COLLATE "C", expires_at timestamptz`,
  },
  user_import: {
    columns: userColumns,
    types: sql`line bigint NOT NULL, external_id text COLLATE "C" NOT NULL, has_name boolean NOT NULL, name text, patch text NOT NULL`,
  },
};

/** The tables of a job. Their names contain only the id of the job. */
export function tableOf(job: number, table: 'rows' | 'plan' | 'rule' | 'before'): Sql {
  return raw(`import_staging.${table}_${Math.trunc(job)}`);
}

export async function createRows(db: Db, job: number, kind: ImportKind): Promise<void> {
  await db.query(sql`CREATE TABLE ${tableOf(job, 'rows')} (${SHAPES[kind].types})`);
}

export function copyRows(db: Database, job: number, kind: ImportKind, lines: Buffer): Promise<void> {
  return db.copyIn(`COPY ${tableOf(job, 'rows').text} (${SHAPES[kind].columns}) FROM STDIN`, lines);
}

export async function dropTables(db: Db, job: number): Promise<void> {
  await db.query(
    sql`DROP TABLE IF EXISTS ${tableOf(job, 'rows')}, ${tableOf(job, 'plan')}, ${tableOf(job, 'rule')}, ${tableOf(job, 'before')}`,
  );
}

/** The existing users of a plan. */
export function plannedUserIds(job: number): Sql {
  return sql`SELECT p.user_id FROM ${tableOf(job, 'plan')} p WHERE p.user_id IS NOT NULL AND NOT p.fresh`;
}

/** Jobs that still have tables although they no longer need them. */
export async function selectLeftovers(db: Db): Promise<number[]> {
  const rows = await db.query<{ job: number }>(sql`
    SELECT DISTINCT t.job
    FROM (
      SELECT substring(c.relname FROM '^(?:rows|plan|rule|before)_([0-9]+)$')::bigint AS job
      FROM pg_class c
      WHERE c.relnamespace = 'import_staging'::regnamespace AND c.relkind = 'r'
    ) t
      LEFT JOIN jobs j ON j.id = t.job AND j.finished_at IS NULL
    WHERE t.job IS NOT NULL AND j.id IS NULL`);
  return rows.map(({ job }) => job);
}

/** The number of pages of a table; slices are counted in pages. */
export async function selectPages(db: Db, table: Sql): Promise<number> {
  const rows = await db.query<{ pages: number }>(sql`
    SELECT pg_relation_size(${table.text}::regclass) / current_setting('block_size')::bigint AS pages`);
  return rows[0]?.pages ?? 0;
}

/**
 * The number of pages of a job's plan.
 * @throws StaleRead if it is empty although there is something to do: PostgreSQL has crashed since, which empties unlogged tables.
 */
export async function selectPlanPages(db: Db, { id, rows }: Pick<JobRow, 'id' | 'rows'>): Promise<number> {
  const pages = await selectPages(db, tableOf(id, 'plan'));
  if (pages === 0 && rows > 0) throw new StaleRead('the plan was lost');
  return pages;
}

/** A range of pages of `p`. Tables are written in order and never changed, so a range of pages is a range of the order. */
export function inPages(from: number, to: number): Sql {
  return raw(`p.ctid >= '(${Math.trunc(from)},0)'::tid AND p.ctid < '(${Math.trunc(to)},0)'::tid`);
}
