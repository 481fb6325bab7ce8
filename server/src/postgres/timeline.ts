import type pg from 'pg';
import { isConnectionLost } from './errors.ts';

const timelineQuery = `
  SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS timeline`;

/** The timeline that a server writes; undefined of a replica, or where it does not say. */
export async function timelineOf(client: pg.ClientBase): Promise<string | undefined> {
  try {
    const { rows } = await client.query<{ timeline: string | null }>(timelineQuery);
    return rows[0]?.timeline ?? undefined;
  } catch (error) {
    if (isConnectionLost(error)) throw error;
    return undefined;
  }
}
