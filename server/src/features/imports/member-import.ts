import { maxJobErrors } from '@kohort/contract';
import { type JobContext, JobFailed, type JobRow, noCounts } from '../../jobs/queue.ts';
import type { Database, Tx } from '../../postgres/database.ts';
import { analyzeGrown } from '../../postgres/maintenance.sql.ts';
import { StaleRead } from '../../postgres/stale-read.ts';
import type { TransactionOptions } from '../../postgres/transaction.ts';
import { isList } from '../../segmentation/definition.ts';
import { transactionBehindFence } from '../fences/fences.ts';
import {
  addPlanned,
  type BulkChange,
  type Changed,
  eachLetIn,
  followExpiries,
  isOutrun,
  previewPlanned,
  removeExpiredOfSegment,
  removeLapsed,
  removePlanned,
  removeUnplanned,
  sweepExpired,
  updatePlanned,
} from '../memberships/memberships.ts';
import { freshDefinitions } from '../segments/segments.ts';
import { joinByHash, joinUsersByHash, workInMemory, workOnWorkers } from './bulk.ts';
import {
  createPlan,
  createRule,
  hasErased,
  hasUnknown,
  type ImportMode,
  insertRule,
  isSegmentLive,
  keepSegment,
  type Range,
  registerUsersOf,
  type Slice,
  selectNow,
  selectRange,
  selectUnknownRows,
  settleRule,
  type Unknown,
} from './members.sql.ts';
import type { Counted, ImportWork, Prepared, Work } from './run.ts';
import { skipOrFail } from './skip.ts';
import { inPages, plannedUserIds, selectPages, selectPlanPages, tableOf } from './staging.sql.ts';

export interface MemberImportOptions {
  readonly mode: ImportMode;
  readonly unknown: Unknown;
  readonly dry_run: boolean;
  /** The expiry of rows without one of their own. */
  readonly expires_at: string | null;
  /** The caller has confirmed that a file without rows empties the segment. */
  readonly confirm: 'empty' | null;
}

/** Pages of the plan that one statement processes: about 25,000 users. */
const slicePages = 200;
/** A large file is sorted in one statement. */
const statementTimeoutMs = 900_000;

const NONE: Changed = { include: 0, exclude: 0 };

const deleted = () => new JobFailed([{ line: null, message: 'the segment was deleted' }]);

const long: TransactionOptions = { statementTimeout: statementTimeoutMs, plannerOff: ['jit', 'parallel'] };

/** Runs statements over all rows of a file, with the planner settings that these need. */
function overAll<T>(db: Database, job: JobRow, work: (tx: Tx) => Promise<T>): Promise<T> {
  return db.transaction(async (tx) => {
    await workOnWorkers(tx);
    await joinUsersByHash(tx, job);
    await workInMemory(tx);
    return work(tx);
  }, long);
}

/** Builds the plan from the users of the file. Fails the job if some are unknown and the options neither create nor skip them. */
async function planUsers(db: Database, job: JobRow, options: MemberImportOptions): Promise<Prepared> {
  const { mode, unknown, expires_at } = options;
  const create = unknown === 'create' && mode !== 'remove';
  await overAll(db, job, (tx) => createPlan(tx, job.id, { mode, create, expiresAt: expires_at }));
  // With mode=remove unknown users are skipped, not created: they are out already.
  const isRefused = unknown === 'reject' || create;
  const found = (await overAll(db, job, (tx) => hasUnknown(tx, job.id)))
    ? await overAll(db, job, (tx) => selectUnknownRows(tx, job.id, maxJobErrors))
    : [];
  const prepared = skipOrFail(found, isRefused);
  if (mode === 'replace' && job.rows > 0 && prepared.skipped === job.rows) {
    const message = 'every row was skipped, because none of the users exists; the segment would be empty';
    throw new JobFailed([{ line: null, message }, ...prepared.warnings].slice(0, maxJobErrors));
  }
  return prepared;
}

/** Adds the members by rule to the plan, if the segment has a rule and the mode removes members. */
async function planRule(context: ImportWork, job: JobRow, mode: ImportMode): Promise<void> {
  const { db, definitions } = context;
  const segmentId = segmentOf(job);
  const definition = (await freshDefinitions(definitions)).byId.get(segmentId);
  if (!definition) throw deleted();
  if (mode === 'add' || isList(definition)) return;
  await createRule(db, job.id);
  await eachLetIn(context, segmentId, (batch) =>
    insertRule(
      db,
      job.id,
      batch.map(({ id }) => id),
    ),
  );
  await overAll(db, job, (tx) => settleRule(tx, job.id, mode));
}

async function prepare(context: ImportWork, job: JobRow): Promise<Prepared> {
  const { db } = context;
  if (!(await isSegmentLive(db, segmentOf(job)))) throw deleted();
  const options = optionsOf(job);
  const prepared = await planUsers(db, job, options);
  await planRule(context, job, options.mode);
  await sweepExpired(db);
  return prepared;
}

function preview({ db }: ImportWork, job: JobRow): Promise<Counted> {
  const isReplaced = optionsOf(job).mode === 'replace';
  return overAll(db, job, (tx) =>
    previewPlanned(tx, tableOf(job.id, 'plan'), { segmentId: segmentOf(job), replace: isReplaced }),
  );
}

/**
 * Applies the plan in one transaction, so that readers see all of it or nothing. It locks neither users nor pairs beforehand:
 * the fence keeps single changes of the same pairs away, and all others proceed.
 */
function apply(
  { db }: ImportWork,
  job: JobRow,
  { skipped, warnings }: Prepared,
  { progress, finish }: JobContext,
): Promise<void> {
  const segmentId = segmentOf(job);
  const users = optionsOf(job).mode === 'replace' ? 'all' : plannedUserIds(job.id);
  return transactionBehindFence(
    db,
    { job: job.id, segmentId, users },
    async (tx) => {
      await workOnWorkers(tx);
      await joinByHash(tx, job);
      if (!(await keepSegment(tx, segmentId))) throw deleted();
      if (await hasErased(tx, job.id)) throw new StaleRead('a user was erased');
      const counts = await applyPlan(tx, job, optionsOf(job), progress);
      await analyzeGrown(tx, ['memberships', 'users', 'user_keys']);
      await finish(tx, { ...noCounts, ...counts, skipped }, warnings);
    },
    long,
  );
}

export const memberImport: Work = { prepare, preview, apply };

/** Processes the plan in the order of user ids. */
export async function applyPlan(
  tx: Tx,
  job: JobRow,
  { mode, unknown }: { mode: ImportMode | 'undo'; unknown: Unknown },
  progress: JobContext['progress'],
): Promise<Counted> {
  const now = await selectNow(tx);
  const change = { segmentId: segmentOf(job), actor: job.actor, job: job.id, now };
  await removeExpiredOfSegment(tx, change.segmentId, now);

  const counts = { added: 0, updated: 0, removed: 0, unchanged: 0, lapsed: 0 };
  const table = tableOf(job.id, 'plan');
  // The plan of an undo is empty if everybody was changed since.
  let pages = await (mode === 'undo' ? selectPages(tx, table) : selectPlanPages(tx, job));
  let [done, from] = [0, 0];
  for (let page = 0; page < pages || page === 0; page += slicePages) {
    const slice: Slice = { job: job.id, pages: { from: page, to: page + slicePages } };
    if (unknown === 'create' && (await registerUsersOf(tx, slice, job.actor))) pages = await selectPages(tx, table);
    const range = await selectRange(tx, slice, now);
    const { first, last, named } = range;
    const plan = { table, part: inPages(slice.pages.from, slice.pages.to) };
    const part: BulkChange = { ...change, plan, first: first ?? 0, last: last ?? 0 };
    const found = await applySlice(tx, part, range, mode);
    counts.added += found.added;
    counts.updated += found.updated;
    counts.removed += found.removed;
    counts.unchanged += found.unchanged;
    counts.lapsed += found.lapsed;
    if (mode === 'replace') {
      const isLast = page + slicePages >= pages;
      const to = !isLast && last !== null ? last + 1 : null;
      if (to !== null || isLast) counts.removed += (await removeUnplanned(tx, part, { from, to })).include;
      from = to ?? from;
    }
    done += named;
    progress(Math.min(done, job.rows));
  }
  if (await isOutrun(tx, change)) throw new StaleRead('a change outran the import');
  const takenBack = await followExpiries(tx, change);
  counts.added -= takenBack.include;
  counts.removed -= takenBack.exclude;
  counts.lapsed += takenBack.include + takenBack.exclude;
  return counts;
}

/** Counts users, not rows: a user who is removed by an `exclude` counts as removed, although a row is added. */
async function applySlice(
  tx: Tx,
  change: BulkChange,
  { named, lapsed }: Range,
  mode: ImportMode | 'undo',
): Promise<Counted> {
  const ended = lapsed > 0 ? await removeLapsed(tx, change) : NONE;
  const changed = await updatePlanned(tx, change);
  const come = await addPlanned(tx, change);
  const dropped = mode === 'remove' || mode === 'undo' ? await removePlanned(tx, change) : NONE;

  const excluded = come.exclude + changed.exclude;
  // With `replace`, excluded users are not among those that the file names.
  const touched =
    come.include + changed.include + dropped.include + dropped.exclude + (mode === 'replace' ? 0 : excluded);
  return {
    added: come.include,
    updated: changed.include + ended.exclude + dropped.exclude,
    removed: ended.include + dropped.include + excluded,
    unchanged: named - lapsed - touched,
    lapsed,
  };
}

export function segmentOf(job: JobRow): number {
  if (job.segment_id === null) throw new Error('an import into no segment');
  return job.segment_id;
}

function optionsOf(job: JobRow): MemberImportOptions {
  return job.options as MemberImportOptions;
}
