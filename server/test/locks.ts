import { eventually } from '@kohort/testkit/eventually.ts';
import type { Db } from '../src/postgres/database.ts';

const onOneNode = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
const onAllNodes = `${onOneNode} UNION ALL SELECT FROM citus_lock_waits`;

/** Resolves once a statement waits for a lock that another transaction holds: of a row, of a key, or an advisory one. */
export async function untilLocked(db: Db): Promise<void> {
  const text = db.isDistributed ? onAllNodes : onOneNode;
  await eventually(async () => (await db.query({ text, values: [] })).length > 0);
}
