import { Problem } from '@kohort/contract';
import { insertQueued, type JobContext, JobFailed, type JobRow, noCounts, selectJob } from '../../jobs/queue.ts';
import type { Db, Tx } from '../../postgres/database.ts';
import { StaleRead } from '../../postgres/stale-read.ts';
import type { TransactionOptions } from '../../postgres/transaction.ts';
import { everySegment, transactionBehindFence } from '../fences/fences.ts';
import { previewPlanned, sweepExpired } from '../memberships/memberships.ts';
import { countRestorable, deleteUntouched, lockUsers, restoreUsers } from '../users/users.ts';
import { joinByHash, workInMemory, workOnWorkers } from './bulk.ts';
import { applyPlan, segmentOf } from './member-import.ts';
import { hasErased, isSegmentLive, keepSegment } from './members.sql.ts';
import type { Counted, ImportWork, Prepared, Work } from './run.ts';
import { plannedUserIds, selectPlanPages, tableOf } from './staging.sql.ts';
import {
  countChangesOf,
  createUndoPlan,
  createUserUndoPlan,
  dropChangedSince,
  plannedChanges,
  selectChangedUsers,
} from './undo.sql.ts';

interface UndoOptions {
  readonly job: number;
  readonly dry_run: boolean;
}

const statementTimeoutMs = 900_000;
const long: TransactionOptions = { statementTimeout: statementTimeoutMs, plannerOff: ['jit', 'parallel'] };
/** Pages of the plan of an undo of users that one statement processes: some 2,000 users, fewer if they have long names. */
const slicePages = 16;

const gone = (what: string) => new JobFailed([{ line: null, message: `${what} was deleted` }]);

/**
 * Queues the undo of an import, as a job of its own.
 * @throws Problem 404, or 409 if the job is not an import that changed anything.
 */
export async function queueUndo(
  db: Db,
  id: number,
  { dryRun, actor }: { dryRun: boolean; actor: string },
): Promise<number> {
  const undone = await selectJob(db, id);
  if (!undone) throw new Problem('job_unknown', 'There is no such job.');
  const isImport = undone.kind === 'segment_import' || undone.kind === 'user_import';
  if (!isImport || (undone.options as { dry_run?: boolean }).dry_run) {
    throw new Problem('job_not_undoable', 'Only an import that was not a dry run can be undone.');
  }
  if (undone.state !== 'done') throw new Problem('job_not_undoable', `The import is ${undone.state}, not done.`);
  const options: UndoOptions = { job: id, dry_run: dryRun };
  return insertQueued(db, {
    kind: `${undone.kind}_undo`,
    lane: undone.segment_id === null ? 'users' : `segment:${undone.segment_id}`,
    segmentId: undone.segment_id,
    options,
    actor,
    rows: undone.added + undone.updated + undone.removed,
  });
}

async function undoneBy(db: Db, job: JobRow): Promise<JobRow> {
  const undone = await selectJob(db, (job.options as UndoOptions).job);
  if (!undone) throw gone('the import');
  return undone;
}

async function prepareMembers({ db }: ImportWork, job: JobRow): Promise<Prepared> {
  if (!(await isSegmentLive(db, segmentOf(job)))) throw gone('the segment');
  const undone = await undoneBy(db, job);
  await sweepExpired(db);
  return db.transaction(async (tx) => {
    await workOnWorkers(tx);
    const all = await countChangesOf(tx, undone);
    return { skipped: 0, kept: all - (await createUndoPlan(tx, job.id, undone)), warnings: [] };
  }, long);
}

function previewMembers({ db }: ImportWork, job: JobRow): Promise<Counted> {
  const target = { segmentId: segmentOf(job), replace: false };
  return db.transaction(async (tx) => {
    await workOnWorkers(tx);
    return previewPlanned(tx, tableOf(job.id, 'plan'), target);
  }, long);
}

function applyMembers(
  { db }: ImportWork,
  job: JobRow,
  { kept }: Prepared,
  { progress, finish }: JobContext,
): Promise<void> {
  const segmentId = segmentOf(job);
  return transactionBehindFence(
    db,
    { job: job.id, segmentId, users: plannedUserIds(job.id) },
    async (tx) => {
      await workOnWorkers(tx);
      if (!(await keepSegment(tx, segmentId))) throw gone('the segment');
      if (await hasErased(tx, job.id)) throw new StaleRead('a user was erased');
      const changed = await dropChangedSince(tx, job.id, segmentId);
      await joinByHash(tx, job);
      const counts = await applyPlan(tx, job, { mode: 'undo', unknown: 'skip' }, progress);
      await finish(tx, { ...noCounts, ...counts, kept: kept + changed });
    },
    long,
  );
}

/** Restores the overrides that users had before an import into a segment. */
export const memberUndo: Work = { prepare: prepareMembers, preview: previewMembers, apply: applyMembers };

async function prepareUsers({ db }: ImportWork, job: JobRow): Promise<Prepared> {
  const undone = await undoneBy(db, job);
  await db.transaction(async (tx) => {
    await workInMemory(tx);
    await createUserUndoPlan(tx, job.id, undone.id);
  }, long);
  return { skipped: 0, kept: 0, warnings: [] };
}

async function previewUsers({ db }: ImportWork, job: JobRow): Promise<Counted> {
  const found = await db.transaction((tx) => countRestorable(tx, plannedChanges(job.id)), long);
  return { ...noCounts, ...found };
}

async function restoreAll(tx: Tx, job: JobRow, progress: (processed: number) => void) {
  const { id, actor } = job;
  const counts = { ...noCounts, updated: 0, removed: 0, kept: 0 };
  const pages = await selectPlanPages(tx, job);
  let done = 0;
  for (let from = 0; from < pages; from += slicePages) {
    const changes = plannedChanges(id, { from, to: from + slicePages });
    const ids = await selectChangedUsers(tx, changes);
    // The next statement sees the commits of the previous holders of the locks.
    await lockUsers(tx, ids);
    const updated = await restoreUsers(tx, changes, ids, actor);
    const removed = await deleteUntouched(tx, changes, ids, actor);
    counts.updated += updated;
    counts.removed += removed;
    counts.kept += ids.length - updated - removed;
    done += ids.length;
    progress(done);
  }
  return counts;
}

function applyUsers(
  { db }: ImportWork,
  job: JobRow,
  _prepared: Prepared,
  { progress, finish }: JobContext,
): Promise<void> {
  return transactionBehindFence(
    db,
    { job: job.id, segmentId: everySegment, users: plannedChanges(job.id) },
    async (tx) => {
      await workOnWorkers(tx);
      await finish(tx, await restoreAll(tx, job, progress));
    },
    long,
  );
}

/**
 * Restores the names and attributes that users had before an import, and erases the users it registered that have had no
 * membership since.
 */
export const userUndo: Work = { prepare: prepareUsers, preview: previewUsers, apply: applyUsers };
