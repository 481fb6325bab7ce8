import { deleteBrokenUploads } from '../../jobs/queue.ts';
import type { Database } from '../../postgres/database.ts';
import { deleteFencesOfEndedJobs } from '../fences/fences.ts';
import { dropTables, selectLeftovers } from './staging.sql.ts';

const sweepEveryMs = 2_000;
/** The table of a job cancelled while running is in use until its process notices. */
const lockTimeoutMs = 250;

/** Drops tables and fences of jobs that were cancelled or whose process died. */
export async function sweepImports(db: Database): Promise<void> {
  await deleteBrokenUploads(db);
  await deleteFencesOfEndedJobs(db);
  for (const id of await selectLeftovers(db)) {
    await db.transaction((tx) => dropTables(tx, id), { lockTimeout: lockTimeoutMs }).catch(() => undefined);
  }
}

/** Sweeps every two seconds until the returned function is called. */
export function keepSwept(db: Database, onError: (error: unknown, what: string) => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const again = async () => {
    await sweepImports(db).catch((error) => onError(error, 'sweeping imports failed'));
    if (!isStopped) timer = setTimeout(again, sweepEveryMs);
  };
  timer = setTimeout(again, 0);
  return () => {
    isStopped = true;
    clearTimeout(timer);
  };
}
