import sql from 'sql-template-tag';
import type { Db } from './database.ts';

/** A place in the log that a PostgreSQL writes ahead, in bytes; comparable within one timeline of one system. */
export interface Written {
  readonly position: number;
  readonly timeline: string;
  readonly system: string;
}

export interface Replayed extends Written {
  /** False of a server that was promoted, or never was a replica. */
  readonly isReplica: boolean;
}

const system = sql`(SELECT c.system_identifier::text FROM pg_control_system() c)`;

/** The end of the log: everything acknowledged until now lies before it. */
export async function selectWritten(db: Db): Promise<Written> {
  const [row] = await db.query<Written>(sql`
    SELECT pg_wal_lsn_diff(w.lsn, '0/0')::float8 AS position, left(pg_walfile_name(w.lsn), 8) AS timeline,
      ${system} AS system
    FROM (SELECT pg_current_wal_insert_lsn() AS lsn OFFSET 0) w`);
  if (!row) throw new Error('no row of a statement that has one always');
  return row;
}

/** How far a replica has come. Its timeline is known as of its last restart point. */
export async function selectReplayed(db: Db): Promise<Replayed> {
  const [row] = await db.query<Replayed>(sql`
    SELECT pg_is_in_recovery() AS "isReplica",
      coalesce(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0'), 0)::float8 AS position,
      (SELECT lpad(upper(to_hex(c.timeline_id)), 8, '0') FROM pg_control_checkpoint() c) AS timeline, ${system} AS system`);
  if (!row) throw new Error('no row of a statement that has one always');
  return row;
}
