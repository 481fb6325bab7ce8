import sql from 'sql-template-tag';
import type { Tx } from '../../../postgres/database.ts';
import type { Changed } from './planned.sql.ts';

/** What an import has written into the history of a segment, all of it dated with the moment at which it read its clock. */
interface Written {
  readonly job: number;
  readonly segmentId: number;
  readonly now: string;
}

const NONE: Changed = { include: 0, exclude: 0 };

const settings = { nestloop: 'on', hashjoin: 'off', mergejoin: 'off', seqscan: 'off', bitmapscan: 'off' };

/**
 * For the rest of the transaction. An import joins by hashes, and to find a few rows of history would read the whole of it; and the
 * index of times by ranges of blocks knows nothing yet of the blocks that the import has filled.
 */
async function lookUpOneByOne(tx: Tx): Promise<void> {
  // One at a time, and by SET: only that reaches the workers of Citus.
  for (const [name, value] of Object.entries(settings)) {
    await tx.query({ text: `SET LOCAL enable_${name} = ${value}`, values: [] });
  }
}

/**
 * Whether the import has written a row behind one of a later date: of a change that began before the fence was visible, or of a user
 * whom it did not cover, and got its turn at the user after the import had read its clock. Asked once all is applied.
 */
export async function isOutrun(tx: Tx, { job, segmentId, now }: Written): Promise<boolean> {
  const behind = sql`
    FROM history i
    WHERE i.user_id = h.user_id AND i.segment_id = h.segment_id AND i.job = ${job}::bigint AND i.seq > h.seq`;
  // Looked up one by one: a join of an import, which goes by hashes, would read the whole history. Expiry has dates of its own.
  const rows = await tx.query(sql`
    SELECT 1 AS one FROM history h
    WHERE h.segment_id = ${segmentId}::bigint AND h.at > ${now}::timestamptz AND h.op <> 'expire'
      AND ${tx.isDistributed ? sql`EXISTS (SELECT 1 ${behind})` : sql`(SELECT true ${behind} LIMIT 1)`}
    LIMIT 1`);
  return rows.length > 0;
}

/**
 * Dates the import's rows behind an expiry with that expiry. An override that expires once the import has read its clock may be swept
 * before the import comes to its user, and history is in the order of time. Where the row would end no later than that, it is taken
 * back. Done once all is applied.
 * @returns how many overrides of each mode were taken back; all of them were added.
 */
export async function followExpiries(tx: Tx, { job, segmentId, now }: Written): Promise<Changed> {
  const late = sql`h.segment_id = ${segmentId}::bigint AND h.at > ${now}::timestamptz AND h.op = 'expire'`;
  const found = await tx.query(sql`SELECT 1 AS one FROM history h WHERE ${late} LIMIT 1`);
  if (found.length === 0) return NONE;
  await lookUpOneByOne(tx);
  // Not by the index on segments: with statistics from before the import it may seem as good, and leads through the whole segment.
  const behind = sql`
    i.user_id = h.user_id AND i.segment_id + 0 = h.segment_id AND i.job = ${job}::bigint AND i.seq > h.seq`;
  const [redated] = await tx.write<{ count: number }>(sql`
    WITH redated AS (
      UPDATE history i SET at = h.at
      FROM history h
      WHERE ${late} AND ${behind}
      RETURNING i.user_id
    )
    SELECT count(*) AS count FROM redated`);
  if (!redated || redated.count === 0) return NONE;
  const itsOwn = sql`i.segment_id = ${segmentId}::bigint AND i.job = ${job}::bigint AND i.at > ${now}::timestamptz`;
  const itsMembership = sql`m.user_id = i.user_id AND m.segment_id = i.segment_id AND m.since = ${now}::timestamptz`;
  await tx.write(sql`
    DELETE FROM memberships m USING history i WHERE ${itsOwn} AND ${itsMembership} AND i.expires_at <= i.at`);
  await tx.write(sql`UPDATE memberships m SET since = i.at FROM history i WHERE ${itsOwn} AND ${itsMembership}`);
  const [ended] = await tx.write<Changed>(sql`
    WITH ended AS (DELETE FROM history i WHERE ${itsOwn} AND i.expires_at <= i.at RETURNING i.mode)
    SELECT count(*) FILTER (WHERE e.mode = 'include') AS include, count(*) FILTER (WHERE e.mode = 'exclude') AS exclude FROM ended e`);
  return ended ?? NONE;
}
