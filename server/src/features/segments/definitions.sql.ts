import sql from 'sql-template-tag';
import { advisoryLocks } from '../../postgres/advisory-locks.ts';
import type { Db, Tx } from '../../postgres/database.ts';
import { columns, type SegmentRow } from './segment-rows.sql.ts';

/** On a distributed database: keeps other writers of definitions away by a lock of the coordinator, before any row is locked. */
export async function takeTurnOfDefinitions(tx: Tx): Promise<void> {
  await tx.query(sql`SELECT pg_advisory_xact_lock(${advisoryLocks.definitions}::bigint)`);
}

/** Locks out other writers of definitions until this transaction ends, and draws its revision. */
export async function raiseRevision(tx: Tx): Promise<number> {
  if (tx.isDistributed) await takeTurnOfDefinitions(tx);
  const rows = await tx.write<{ revision: number }>(sql`
    UPDATE definitions d SET revision = d.revision + 1 RETURNING d.revision`);
  if (!rows[0]) throw new Error('the definitions row is missing');
  return rows[0].revision;
}

/** All live definitions changed after `revision`, all deleted since, and the revision that they are from. */
export async function selectChangedSince(
  db: Db,
  revision: number,
): Promise<{ revision: number; segments: SegmentRow[] }> {
  const rows = await db.query<{ current: number } & { [K in keyof SegmentRow]: SegmentRow[K] | null }>(sql`
    SELECT d.revision AS current, ${columns}
    FROM definitions d LEFT JOIN segments s ON s.revision > ${revision}`);
  return {
    revision: rows[0]?.current ?? revision,
    segments: rows.filter((row): row is typeof row & SegmentRow => row.id !== null),
  };
}

/** Of all live segments: the bytes of their conditions, and how often one names another. */
export async function sumConditions(tx: Tx): Promise<{ bytes: number; mentions: number }> {
  const rows = await tx.query<{ bytes: number; mentions: number }>(sql`
    SELECT coalesce(sum(s.condition_bytes), 0)::bigint AS bytes, (SELECT count(*) FROM segment_references) AS mentions
    FROM segments s
    WHERE s.deleted_at IS NULL`);
  return rows[0] ?? { bytes: 0, mentions: 0 };
}
