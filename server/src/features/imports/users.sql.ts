import sql from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import type { JobError } from '../jobs/jobs.ts';
import { inPages, tableOf } from './staging.sql.ts';

/** One row of the file, with the user it is about; those to be created have their new ids already. */
export interface PlannedUser {
  readonly line: number;
  readonly user_id: number | null;
  readonly fresh: boolean;
  readonly external_id: string;
  readonly has_name: boolean;
  readonly name: string | null;
  readonly patch: string;
}

/** The rows in order of users, and of lines for each. */
export async function createUserPlan(tx: Tx, job: number, { create }: { create: boolean }): Promise<void> {
  const rows = tableOf(job, 'rows');
  await tx.query(sql`DROP TABLE IF EXISTS ${tableOf(job, 'plan')}`);
  await tx.query(sql`
    CREATE UNLOGGED TABLE ${tableOf(job, 'plan')} AS
    SELECT r.line, coalesce(k.user_id, n.id) AS user_id, k.user_id IS NULL AS fresh, r.external_id, r.has_name, r.name, r.patch
    FROM ${rows} r
      LEFT JOIN user_keys k ON k.external_id = r.external_id
      LEFT JOIN (
        SELECT d.external_id, nextval(pg_get_serial_sequence('users', 'id')) AS id
        FROM (
          SELECT DISTINCT r.external_id
          FROM ${rows} r
          WHERE ${create ? sql`NOT EXISTS (SELECT FROM user_keys k WHERE k.external_id = r.external_id)` : sql`false`}
          ORDER BY 1
        ) d
      ) n ON n.external_id = r.external_id AND k.user_id IS NULL
    ORDER BY 2, 1`);
}

export function selectUnknownUsers(db: Db, job: number, limit: number): Promise<JobError[]> {
  return db.query<JobError>(sql`
    SELECT p.line, 'there is no user with this external_id' AS message
    FROM ${tableOf(job, 'plan')} p
    WHERE p.user_id IS NULL
    ORDER BY p.line
    LIMIT ${limit}`);
}

export function selectPlanned(db: Db, job: number, pages: { from: number; to: number }): Promise<PlannedUser[]> {
  return db.query<PlannedUser>(sql`
    SELECT p.line, p.user_id, p.fresh, p.external_id, p.has_name, p.name, p.patch
    FROM ${tableOf(job, 'plan')} p
    WHERE ${inPages(pages.from, pages.to)}
    ORDER BY p.user_id, p.line`);
}

export interface CurrentUser {
  readonly id: number;
  readonly name: string | null;
  readonly attributes: object;
}

/** To change them, in order of their ids, as everybody locks them; to look at them, without being in anybody's way. */
export function selectCurrent(tx: Tx, ids: readonly number[], { lock }: { lock: boolean }): Promise<CurrentUser[]> {
  return tx.query<CurrentUser>(sql`
    SELECT u.id, u.name, u.attributes FROM users u
    WHERE u.id = ANY(${ids}::bigint[])
    ORDER BY u.id
    ${lock ? sql`FOR NO KEY UPDATE` : sql``}`);
}

export interface NewState {
  readonly id: number;
  readonly externalId: string;
  readonly name: string | null;
  readonly attributes: string;
}

const unnested = (users: readonly NewState[]) => sql`unnest(
  ${users.map(({ id }) => id)}::bigint[], ${users.map(({ externalId }) => externalId)}::text[],
  ${users.map(({ name }) => name)}::text[], ${users.map(({ attributes }) => attributes)}::jsonb[]
) AS n(id, external_id, name, attributes)`;

/**
 * With a version of their attributes, where they have any.
 * @returns the ids of those that were made; the external ids of the others are somebody's already.
 */
export async function insertUsers(tx: Tx, users: readonly NewState[]): Promise<number[]> {
  const rows = await tx.write<{ id: number }>(sql`
    WITH n AS MATERIALIZED (SELECT * FROM ${unnested(users)}), keyed AS (
      INSERT INTO user_keys (external_id, user_id) SELECT n.external_id, n.id FROM n
      ON CONFLICT ON CONSTRAINT user_keys_pkey DO NOTHING
      RETURNING user_id
    ), made AS (
      INSERT INTO users (id, external_id, name, attributes) OVERRIDING SYSTEM VALUE
      SELECT n.id, n.external_id, n.name, n.attributes FROM n JOIN keyed k ON k.user_id = n.id
      RETURNING id, attributes, attributes_version, created_at
    ), versioned AS (
      INSERT INTO attribute_versions (user_id, version, at, attributes)
      SELECT m.id, m.attributes_version, m.created_at, m.attributes FROM made m WHERE m.attributes <> '{}'
    )
    SELECT made.id FROM made`);
  return rows.map(({ id }) => id);
}

/** Who has these external ids. */
export async function selectIds(tx: Tx, externalIds: readonly string[]): Promise<Map<string, number>> {
  const rows = await tx.query<{ external_id: string; user_id: number }>(sql`
    SELECT k.external_id, k.user_id FROM user_keys k WHERE k.external_id = ANY(${externalIds}::text[])`);
  return new Map(rows.map(({ external_id, user_id }) => [external_id, user_id]));
}

/** Of those who differ; how many did. */
export async function updateUsers(tx: Tx, users: readonly NewState[]): Promise<number> {
  const rows = await tx.write<{ count: number }>(sql`
    WITH changed AS (
      UPDATE users u
      SET name = n.name, attributes = n.attributes,
        attributes_version = u.attributes_version + CASE WHEN u.attributes = n.attributes THEN 0 ELSE 1 END
      FROM ${unnested(users)}
      WHERE u.id = n.id AND (u.name, u.attributes) IS DISTINCT FROM (n.name, n.attributes)
      RETURNING u.id, u.attributes, u.attributes_version
    ), versioned AS (
      INSERT INTO attribute_versions (user_id, version, at, attributes)
      SELECT c.id, c.attributes_version, date_trunc('milliseconds', clock_timestamp()), c.attributes
      FROM changed c
      WHERE c.attributes_version > 1
      ON CONFLICT ON CONSTRAINT attribute_versions_pkey DO NOTHING
    )
    SELECT count(*) AS count FROM changed`);
  return rows[0]?.count ?? 0;
}

/** How many of these would differ. */
export async function countDifferent(tx: Tx, users: readonly NewState[]): Promise<number> {
  const rows = await tx.query<{ count: number }>(sql`
    SELECT count(*) AS count FROM ${unnested(users)} JOIN users u ON u.id = n.id
    WHERE (u.name, u.attributes) IS DISTINCT FROM (n.name, n.attributes)`);
  return rows[0]?.count ?? 0;
}
