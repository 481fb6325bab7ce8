import { maxJobErrors } from '@kohort/contract';
import type { Database, Tx } from '../../postgres/database.ts';
import type { TransactionOptions } from '../../postgres/transaction.ts';
import { isList } from '../../segmentation/definition.ts';
import type { JobCounts, JobRow } from '../jobs/jobs.ts';
import { eachLetIn } from '../memberships/read/members-of-segment.ts';
import { sweepExpired } from '../memberships/write/expiry-and-purge.ts';
import { dropHolds, placeHolds, takeTurn } from '../memberships/write/fence.sql.ts';
import type { DefinitionCache } from '../segments/definitions.ts';
import { joinByHash, joinUsersByHash, workInMemory } from './bulk.ts';
import {
  addMembers,
  type Changed,
  createPlan,
  createRule,
  createUsersOf,
  dropLapsed,
  dropMembers,
  dropOthers,
  expireAll,
  hasErased,
  hasUnknown,
  type ImportMode,
  insertRule,
  isSegmentLive,
  keepSegment,
  previewPlan,
  type Range,
  type Slice,
  selectNow,
  selectPastRows,
  selectRange,
  selectUnknownRows,
  settleRule,
  type Unknown,
  updateMembers,
} from './members.sql.ts';
import { Outrun } from './outrun.ts';
import { JobFailed, type Work } from './runner.ts';
import { selectPages, tableOf } from './staging.sql.ts';

export interface MemberImportOptions {
  readonly mode: ImportMode;
  readonly unknown: Unknown;
  readonly dry_run: boolean;
  /** For rows that name no time of their own. */
  readonly expires_at: string | null;
}

/** Pages of the plan that one statement goes through: about 25,000 users. */
const SLICE = 200;
/** Milliseconds; the sorting of a large file is one statement. */
const STATEMENT_TIMEOUT = 900_000;

const NONE: Changed = { include: 0, exclude: 0 };

const deleted = () => new JobFailed([{ line: null, message: 'the segment was deleted' }]);

export function createMemberImport({ db, definitions }: { db: Database; definitions: DefinitionCache }): Work {
  const long: TransactionOptions = { statementTimeout: STATEMENT_TIMEOUT, plannerOff: ['jit', 'parallel'] };

  /** What goes through all rows of a file. */
  function overAll<T>(job: JobRow, work: (tx: Tx) => Promise<T>): Promise<T> {
    return db.transaction(async (tx) => {
      await joinUsersByHash(tx, job);
      await workInMemory(tx);
      return work(tx);
    }, long);
  }

  /** Reads the file's users; fails the job when it names any who cannot be meant. */
  async function plan(job: JobRow, segmentId: number, options: MemberImportOptions): Promise<void> {
    const { mode, unknown, expires_at } = options;
    const create = unknown === 'create' && mode !== 'remove';
    const past = mode === 'remove' ? [] : await overAll(job, (tx) => selectPastRows(tx, job.id, maxJobErrors));
    if (past.length > 0) throw new JobFailed(past);
    await overAll(job, (tx) => createPlan(tx, job.id, { mode, create, expiresAt: expires_at }));
    // There is nobody to be created in order to be removed: unknown users are out already.
    const isRefused = unknown === 'reject' || create;
    if (isRefused && (await overAll(job, (tx) => hasUnknown(tx, job.id)))) {
      throw new JobFailed(await overAll(job, (tx) => selectUnknownRows(tx, job.id, maxJobErrors)));
    }
    const definition = (await definitions.fresh()).byId.get(segmentId);
    if (!definition) throw deleted();
    if (mode === 'add' || isList(definition)) return;
    await createRule(db, job.id);
    await eachLetIn({ db, definitions }, segmentId, (batch) =>
      insertRule(
        db,
        job.id,
        batch.map(({ id }) => id),
      ),
    );
    await overAll(job, (tx) => settleRule(tx, job.id, mode));
  }

  /** Counts users: who is put out by an `exclude` has gone, though a row has come. */
  async function applySlice(
    tx: Tx,
    part: Slice,
    { named, lapsed }: Range,
    { mode }: MemberImportOptions,
  ): Promise<JobCounts> {
    const ended = lapsed > 0 ? await dropLapsed(tx, part) : NONE;
    const changed = await updateMembers(tx, part);
    const come = await addMembers(tx, part);
    const dropped = mode === 'remove' ? await dropMembers(tx, part) : NONE;

    const added = come.include;
    const updated = changed.include + ended.exclude;
    const excluded = come.exclude + changed.exclude;
    const removed = ended.include + dropped.include + excluded;
    // With `replace` it is the users of the file who are not excluded.
    const touched = added + updated + removed - (mode === 'replace' ? excluded : 0);
    return { added, updated, removed, unchanged: named - touched };
  }

  return {
    async prepare(job) {
      const segmentId = segmentOf(job);
      if (!(await isSegmentLive(db, segmentId))) throw deleted();
      await plan(job, segmentId, optionsOf(job));
      await sweepExpired(db);
    },

    preview(job) {
      return overAll(job, (tx) => previewPlan(tx, job.id, segmentOf(job), optionsOf(job).mode));
    },

    /**
     * Everything in one transaction, so that readers see all of it or nothing. It locks neither users nor pairs beforehand:
     * holds, which are seen at once, keep single changes of the same pairs away, and all others go on.
     */
    apply(job, { progress, finish }) {
      const segmentId = segmentOf(job);
      const options = optionsOf(job);
      const { mode } = options;
      return db
        .transaction(async (tx) => {
          await joinByHash(tx, job);
          await takeTurn(tx, segmentId);
          if (!(await keepSegment(tx, segmentId))) throw deleted();
          await placeHolds(db, job.id, segmentId, { all: mode === 'replace' });
          if (await hasErased(tx, job.id)) throw new Outrun('a user was erased');
          const now = await selectNow(tx);
          await expireAll(tx, segmentId, now);

          const counts = { added: 0, updated: 0, removed: 0, unchanged: 0 };
          let pages = await selectPages(tx, tableOf(job.id, 'plan'));
          let [done, from] = [0, 0];
          for (let page = 0; page < pages || page === 0; page += SLICE) {
            const stretch = { job: job.id, now, pages: { from: page, to: page + SLICE } };
            if (options.unknown === 'create' && (await createUsersOf(tx, stretch))) {
              pages = await selectPages(tx, tableOf(job.id, 'plan'));
            }
            const range = await selectRange(tx, stretch);
            const { first, last, named } = range;
            const part: Slice = { ...stretch, segmentId, actor: job.actor, first: first ?? 0, last: last ?? 0 };
            const found = await applySlice(tx, part, range, options);
            counts.added += found.added;
            counts.updated += found.updated;
            counts.removed += found.removed;
            counts.unchanged += found.unchanged;
            if (mode === 'replace') {
              const to = page + SLICE < pages && last !== null ? last + 1 : null;
              if (to !== null || page + SLICE >= pages)
                counts.removed += (await dropOthers(tx, part, { from, to })).include;
              from = to ?? from;
            }
            done += named;
            await progress(Math.min(done, job.rows));
          }
          await dropHolds(tx, job.id);
          await finish(tx, counts);
        }, long)
        .catch(async (error) => {
          await dropHolds(db, job.id).catch(() => undefined);
          throw error;
        });
    },
  };
}

function segmentOf(job: JobRow): number {
  if (job.segment_id === null) throw new Error('an import into no segment');
  return job.segment_id;
}

function optionsOf(job: JobRow): MemberImportOptions {
  return job.options as MemberImportOptions;
}
