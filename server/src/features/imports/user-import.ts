import { maxAttributesBytes, maxJobErrors } from '@kohort/contract';
import { type JobError, JobFailed, type JobRow, noCounts } from '../../jobs/queue.ts';
import type { Database, Tx } from '../../postgres/database.ts';
import { analyzeGrown } from '../../postgres/maintenance.sql.ts';
import { StaleRead } from '../../postgres/stale-read.ts';
import type { TransactionOptions } from '../../postgres/transaction.ts';
import { everySegment, transactionBehindFence } from '../fences/fences.ts';
import {
  type AnyObject,
  type CurrentUser,
  countDifferent,
  insertUsers,
  mergePatch,
  selectIdsOf,
  selectUsersById,
  type UserState,
  updateUsers,
} from '../users/users.ts';
import { joinUsersByHash, workInMemory } from './bulk.ts';
import type { Unknown } from './members.sql.ts';
import type { Counted, Work } from './run.ts';
import { skipOrFail } from './skip.ts';
import { plannedUserIds, selectPages, tableOf } from './staging.sql.ts';
import { insertUserChanges } from './undo.sql.ts';
import { createUserPlan, type PlannedUser, selectPlanned, selectUnknownUsers } from './users.sql.ts';

export interface UserImportOptions {
  readonly unknown: Unknown;
  readonly dry_run: boolean;
}

const SLICE = 50;
const STATEMENT_TIMEOUT = 900_000;

/** What all rows about one user come to, one after the other. */
function settle(
  rows: readonly PlannedUser[],
  before: { name: string | null; attributes: object },
): UserState | JobError {
  let { name } = before;
  let attributes = before.attributes as AnyObject;
  let line = 0;
  for (const row of rows) {
    if (row.has_name) name = row.name;
    attributes = mergePatch(attributes, JSON.parse(row.patch) as AnyObject);
    line = row.line;
  }
  const text = JSON.stringify(attributes);
  const bytes = Buffer.byteLength(text);
  if (bytes > maxAttributesBytes) {
    return { line, message: `the attributes come to ${bytes} bytes of JSON; at most ${maxAttributesBytes} are kept` };
  }
  const [first] = rows;
  if (!first || first.user_id === null) throw new Error('a planned row without a user');
  return { id: first.user_id, externalId: first.external_id, name, attributes: text };
}

/** What a user comes to who was there before. */
interface Settled {
  readonly state: UserState;
  readonly before: CurrentUser;
}

export function createUserImport({ db }: { db: Database }): Work {
  const long: TransactionOptions = { statementTimeout: STATEMENT_TIMEOUT, plannerOff: ['jit', 'parallel'] };

  /** The users of the plan, stretch by stretch; one whose rows go over the end of a stretch comes with the next. */
  async function eachStretch(
    tx: Tx,
    job: JobRow,
    visit: (users: PlannedUser[][], rows: number) => Promise<void>,
  ): Promise<void> {
    const pages = await selectPages(tx, tableOf(job.id, 'plan'));
    let held: PlannedUser[] = [];
    for (let page = 0; page < pages; page += SLICE) {
      const found = await selectPlanned(tx, job.id, { from: page, to: page + SLICE });
      const known = [...held, ...found.filter(({ user_id }) => user_id !== null)];
      const last = known.at(-1)?.user_id;
      held = page + SLICE < pages ? known.filter(({ user_id }) => user_id === last) : [];
      const whole = known.slice(0, known.length - held.length);
      if (whole.length > 0) await visit([...Map.groupBy(whole, ({ user_id }) => user_id).values()], whole.length);
    }
    if (held.length > 0) await visit([held], held.length);
  }

  async function settleAll(
    tx: Tx,
    users: readonly PlannedUser[][],
    options: { lock: boolean },
  ): Promise<{ fresh: UserState[]; known: Settled[] }> {
    const ids = users.flatMap(([row]) => (row && !row.fresh && row.user_id !== null ? [row.user_id] : []));
    const current = new Map((await selectUsersById(tx, ids, options)).map((user) => [user.id, user]));
    const settled = { fresh: [] as UserState[], known: [] as Settled[] };
    const errors: JobError[] = [];
    for (const rows of users) {
      const [row] = rows;
      const before = row?.fresh ? undefined : current.get(row?.user_id ?? 0);
      if (!before && !row?.fresh) throw new StaleRead('a user was erased');
      const state = settle(rows, before ?? { name: null, attributes: {} });
      if ('message' in state) errors.push(state);
      else if (before) settled.known.push({ state, before });
      else settled.fresh.push(state);
    }
    if (errors.length > 0) throw new JobFailed(errors.slice(0, maxJobErrors));
    return settled;
  }

  /** Applies a stretch. Those to be created whom somebody else has registered meanwhile are changed like all who were there. */
  async function applyStretch(
    tx: Tx,
    job: number,
    users: readonly PlannedUser[][],
  ): Promise<Omit<Counted, 'removed' | 'lapsed'>> {
    const { fresh, known } = await settleAll(tx, users, { lock: true });
    const made = new Set(await insertUsers(tx, fresh));
    const taken = fresh.filter(({ id }) => !made.has(id)).map(({ externalId }) => externalId);
    if (taken.length > 0) {
      const ids = await selectIdsOf(tx, taken);
      if (ids.size < taken.length) throw new StaleRead('a user was registered and erased');
      const again = users
        .filter(([row]) => row?.fresh && ids.has(row.external_id))
        .map((rows) => rows.map((row) => ({ ...row, fresh: false, user_id: ids.get(row.external_id) ?? null })));
      known.push(...(await settleAll(tx, again, { lock: true })).known);
    }
    const updated = await updateUsers(
      tx,
      known.map(({ state }) => state),
    );
    await insertUserChanges(tx, job, [
      ...[...made].map((id) => ({ id, version: null, name: null })),
      ...known.map(({ state, before }) => ({ id: state.id, version: before.attributes_version, name: before.name })),
    ]);
    return { added: made.size, updated, unchanged: known.length - updated };
  }

  return {
    async prepare(job) {
      const { unknown } = job.options as UserImportOptions;
      await db.transaction(async (tx) => {
        await joinUsersByHash(tx, job);
        await workInMemory(tx);
        await createUserPlan(tx, job.id, { create: unknown === 'create' });
      }, long);
      if (unknown === 'create') return { skipped: 0, kept: 0, warnings: [] };
      const found = await db.transaction((tx) => selectUnknownUsers(tx, job.id, maxJobErrors), long);
      return skipOrFail(found, unknown === 'reject');
    },

    preview(job) {
      return db.transaction(async (tx) => {
        const counts = { added: 0, updated: 0, removed: 0, unchanged: 0, lapsed: 0 };
        await eachStretch(tx, job, async (users) => {
          const { fresh, known } = await settleAll(tx, users, { lock: false });
          const updated = await countDifferent(
            tx,
            known.map(({ state }) => state),
          );
          counts.added += fresh.length;
          counts.updated += updated;
          counts.unchanged += known.length - updated;
        });
        return counts;
      }, long);
    },

    apply(job, { skipped, warnings }, { progress, finish }) {
      return transactionBehindFence(
        db,
        { job: job.id, segmentId: everySegment, users: plannedUserIds(job.id) },
        async (tx) => {
          const counts = { ...noCounts, skipped, added: 0, updated: 0, unchanged: 0 };
          let done = 0;
          await eachStretch(tx, job, async (users, rows) => {
            const { added, updated, unchanged } = await applyStretch(tx, job.id, users);
            counts.added += added;
            counts.updated += updated;
            counts.unchanged += unchanged;
            done += rows;
            progress(done);
          });
          await analyzeGrown(tx, ['users', 'user_keys']);
          await finish(tx, counts, warnings);
        },
        long,
      );
    },
  };
}
