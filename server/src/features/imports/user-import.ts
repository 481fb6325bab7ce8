import { maxJobErrors } from '@kohort/contract';
import { type JobContext, type JobRow, noCounts } from '../../jobs/queue.ts';
import type { Tx } from '../../postgres/database.ts';
import { analyzeGrown } from '../../postgres/maintenance.sql.ts';
import { StaleRead } from '../../postgres/stale-read.ts';
import type { TransactionOptions } from '../../postgres/transaction.ts';
import { everySegment, transactionBehindFence } from '../fences/fences.ts';
import { countDifferent, insertUsers, selectIdsOf, updateUsers, type WrittenUsers } from '../users/users.ts';
import { joinUsersByHash, workInMemory, workOnWorkers } from './bulk.ts';
import type { Unknown } from './members.sql.ts';
import type { Counted, ImportWork, Prepared, Work } from './run.ts';
import { eachSettled, type Settled, settleAgain } from './settle-users.ts';
import { skipOrFail } from './skip.ts';
import { plannedUserIds } from './staging.sql.ts';
import { type ChangedUser, insertUserBatch } from './undo.sql.ts';
import { createUserPlan, selectUnknownUsers } from './users.sql.ts';

export interface UserImportOptions {
  readonly unknown: Unknown;
  readonly dry_run: boolean;
}

/** A large file is sorted in one statement. */
const statementTimeoutMs = 900_000;
const long: TransactionOptions = { statementTimeout: statementTimeoutMs, plannerOff: ['jit', 'parallel'] };

const statesOf = (users: readonly Settled[]) => users.map(({ state }) => state);

/** Users to be registered whose external ids are taken meanwhile are changed like existing users. */
async function settleTaken(tx: Tx, taken: readonly Settled[]): Promise<Settled[]> {
  if (taken.length === 0) return [];
  const ids = await selectIdsOf(
    tx,
    taken.map(({ state }) => state.externalId),
  );
  return settleAgain(
    tx,
    taken.map(({ state, rows }) => {
      const id = ids.get(state.externalId);
      if (id === undefined || rows === undefined) throw new StaleRead('a user was registered meanwhile');
      return { id, rows };
    }),
  );
}

async function applyUsers(
  tx: Tx,
  { id: job, actor }: JobRow,
  users: readonly Settled[],
): Promise<Omit<Counted, 'removed' | 'lapsed'>> {
  const fresh = users.filter(({ before }) => before === undefined);
  const made = await insertUsers(tx, statesOf(fresh), actor);
  const taken = await settleTaken(
    tx,
    fresh.filter(({ state }) => !made.has(state.id)),
  );
  const known = [...users.filter(({ before }) => before !== undefined), ...taken];
  const changed = await updateUsers(tx, statesOf(known), actor);
  await insertUserBatch(tx, job, [...changesOf(fresh, made), ...changesOf(known, changed)]);
  return { added: made.size, updated: changed.size, unchanged: known.length - changed.size };
}

/** What the undo needs to know of the users that were written. */
function changesOf(users: readonly Settled[], written: WrittenUsers): ChangedUser[] {
  return users.flatMap(({ state, before }) => {
    const versionAfter = written.get(state.id);
    if (versionAfter === undefined) return [];
    const { attributes_version: versionBefore = null, name: nameBefore = null } = before ?? {};
    return [{ id: state.id, versionBefore, versionAfter, nameBefore, nameAfter: state.name }];
  });
}

async function applyAll(tx: Tx, job: JobRow, progress: (processed: number) => void) {
  const counts = { ...noCounts, added: 0, updated: 0, unchanged: 0 };
  let done = 0;
  await eachSettled(tx, job, { lock: true }, async (users, rows) => {
    const { added, updated, unchanged } = await applyUsers(tx, job, users);
    counts.added += added;
    counts.updated += updated;
    counts.unchanged += unchanged;
    done += rows;
    progress(done);
  });
  return counts;
}

async function previewAll(tx: Tx, job: JobRow): Promise<Counted> {
  const counts = { added: 0, updated: 0, removed: 0, unchanged: 0, lapsed: 0 };
  await eachSettled(tx, job, { lock: false }, async (users) => {
    const known = users.filter(({ before }) => before !== undefined);
    const updated = await countDifferent(tx, statesOf(known));
    counts.added += users.length - known.length;
    counts.updated += updated;
    counts.unchanged += known.length - updated;
  });
  return counts;
}

async function prepare({ db }: ImportWork, job: JobRow): Promise<Prepared> {
  const { unknown } = job.options as UserImportOptions;
  await db.transaction(async (tx) => {
    await workOnWorkers(tx);
    await joinUsersByHash(tx, job);
    await workInMemory(tx);
    await createUserPlan(tx, job.id, { create: unknown === 'create' });
  }, long);
  if (unknown === 'create') return { skipped: 0, kept: 0, warnings: [] };
  const found = await db.transaction((tx) => selectUnknownUsers(tx, job.id, maxJobErrors), long);
  return skipOrFail(found, unknown === 'reject');
}

function preview({ db }: ImportWork, job: JobRow): Promise<Counted> {
  return db.transaction((tx) => previewAll(tx, job), long);
}

function apply(
  { db }: ImportWork,
  job: JobRow,
  { skipped, warnings }: Prepared,
  { progress, finish }: JobContext,
): Promise<void> {
  return transactionBehindFence(
    db,
    { job: job.id, segmentId: everySegment, users: plannedUserIds(job.id) },
    async (tx) => {
      await workOnWorkers(tx);
      const counts = await applyAll(tx, job, progress);
      await analyzeGrown(tx, ['users', 'user_keys']);
      await finish(tx, { ...counts, skipped }, warnings);
    },
    long,
  );
}

export const userImport: Work = { prepare, preview, apply };
