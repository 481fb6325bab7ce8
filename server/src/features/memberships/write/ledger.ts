import { Problem, type UserRef } from '@kohort/contract';
import { Turns } from '../../../concurrency/turns.ts';
import { type Coalesced, coalesce } from '../../../postgres/batch.ts';
import type { Database, Tx } from '../../../postgres/database.ts';
import { StaleRead } from '../../../postgres/stale-read.ts';
import { retrying } from '../../../postgres/transaction.ts';
import type { Mode } from '../../../segmentation/overrides.ts';
import { Fenced, transactionBesideFences, waitForFences } from '../../fences/fences.ts';
import { type DefinitionCache, freshDefinitions, unknownSegment } from '../../segments/segments.ts';
import { findOrRegister, unknownUser } from '../../users/users.ts';
import { selectMoment } from '../moment.sql.ts';
import { applyChanges } from './apply.sql.ts';
import { removeAllOfUser, removeEndedOfUser } from './ended.sql.ts';
import { selectPast, selectStanding } from './lookups.sql.ts';
import type { Outcome, OverrideChange, OverrideKind } from './override-change.ts';
import { settleRemovals } from './removals.ts';

/** A change requested by a caller. */
export interface Wanted {
  readonly slug: string;
  readonly kind: Exclude<OverrideKind, 'leave'>;
  readonly expiresAt: Date | null;
  readonly ttl: number | null;
  /** Its place in the request, as a JSON pointer. */
  readonly path: string;
}

/** The dependencies of changes of memberships. */
export interface Ledger {
  readonly db: Database;
  readonly definitions: DefinitionCache;
  /** Concurrent changes of single pairs share a statement. */
  readonly applyOne: Coalesced<OverrideChange, Outcome>;
}

const maxAttempts = 5;

/** @param observe is called with the size of each batch and how long its first caller waited. */
export function createLedger(
  db: Database,
  definitions: DefinitionCache,
  observe: (callers: number, waitedMs: number) => void,
): Ledger {
  const applyOne = coalesce<OverrideChange, Outcome>({
    run: (changes) => applyByForm(db, changes),
    maxBatch: 256,
    concurrency: 3,
    maxWaiting: 10_000,
    // Two changes of one pair never share a statement, and are sent in order of arrival. Changes that need more than one
    // statement finish after it, so a later change that did not wait for the answer may overtake them.
    keyOf: ({ user, slug }) => `${user.id ?? `ext:${user.externalId}`} ${slug}`,
    observe,
  });
  return { db, definitions, applyOne };
}

/**
 * One statement for callers who name users by id, one for those who use external ids, so that no statement contains one pair
 * under two names. The two statements fail independently.
 */
async function applyByForm(db: Database, changes: readonly OverrideChange[]): Promise<(Outcome | Error)[]> {
  const outcomes = new Map<OverrideChange, Outcome | Error>();
  const forms = Map.groupBy(changes, ({ user }) => user.id === undefined);
  await Promise.all(
    [...forms.values()].map(async (ofForm) => {
      try {
        const found = await retrying(() => applyChanges(db, ofForm));
        for (const [i, change] of ofForm.entries()) {
          outcomes.set(change, found[i] ?? new Error('a change without an outcome'));
        }
      } catch (error) {
        for (const change of ofForm) outcomes.set(change, error instanceof Error ? error : new Error(String(error)));
      }
    }),
  );
  return changes.map((change) => outcomes.get(change) ?? new Error('a change without an outcome'));
}

export function pastTime(...wanted: readonly Pick<Wanted, 'path'>[]): Problem {
  const errors = wanted.map(({ path }) => ({ path: `${path}/expires_at`, message: 'must be in the future' }));
  return new Problem('invalid', errors.map(({ path, message }) => `${path} ${message}`).join('; '), { errors });
}

function keepsChanging(): Problem {
  return new Problem('overloaded', 'The segment keeps changing. Try again shortly.', { retryAfter: 1 });
}

/** Changes the override of one user in one segment. */
export async function changeOverride(ledger: Ledger, user: UserRef, wanted: Wanted, actor: string): Promise<void> {
  const { slug, kind, expiresAt, ttl } = wanted;
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const outcome = await ledger.applyOne({ user, slug, kind, expiresAt, ttl, actor });
    switch (outcome) {
      case 'added':
      case 'updated':
      case 'removed':
      case 'unchanged':
        return;
      case 'past':
        throw pastTime(wanted);
      case 'segment_unknown':
        throw unknownSegment(slug);
      case 'user_unknown':
        if (user.id !== undefined || kind === 'remove') throw unknownUser();
        return changeOverrides(ledger, user, [wanted], actor);
      case 'expired':
      case 'dynamic':
        return changeOverrides(ledger, user, [wanted], actor);
      case 'fenced':
        await waitForFences(ledger.db);
        continue;
      case 'raced':
        continue;
    }
  }
  throw keepsChanging();
}

/** Changes several overrides of one user, all or nothing. The slugs are distinct. */
export async function changeOverrides(
  { db, definitions }: Ledger,
  user: UserRef,
  wanted: readonly Wanted[],
  actor: string,
): Promise<void> {
  const needsDefinitions = wanted.some(({ kind }) => kind === 'remove');
  await untilNotStale(needsDefinitions ? definitions : undefined, () =>
    transactionBesideFences(db, (tx) => changeWithin(tx, definitions, user, wanted, actor)),
  );
}

/** Retries while the data that the work has read goes stale, each time with fresh definitions if it needs them. */
export async function untilNotStale<T>(definitions: DefinitionCache | undefined, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    if (definitions) await freshDefinitions(definitions);
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof StaleRead)) throw error;
    }
  }
  throw keepsChanging();
}

async function standingOf(tx: Tx, userId: number): Promise<ReadonlyMap<number, Mode>> {
  return (await selectStanding(tx, [userId])).get(userId) ?? new Map();
}

async function changeWithin(
  tx: Tx,
  definitions: DefinitionCache,
  ref: UserRef,
  wanted: readonly Wanted[],
  actor: string,
): Promise<void> {
  const times = wanted.map(({ expiresAt }) => expiresAt);
  const past = await selectPast(tx, times);
  if (past.length > 0) throw pastTime(...past.flatMap((place) => wanted[place] ?? []));
  const user = await findOrRegister(tx, ref, actor);
  // The user is locked, so no other writer changes their memberships from here on.
  await removeEndedOfUser(tx, user.id);
  const kinds = wanted.some(({ kind }) => kind === 'remove')
    ? await settleRemovals(
        new Turns(),
        definitions.current,
        user,
        await standingOf(tx, user.id),
        wanted,
        await selectMoment(tx),
      )
    : wanted.map(({ kind }) => kind);
  const outcomes = await applyChanges(
    tx,
    wanted.map(({ slug, kind, expiresAt, ttl }, i) => ({
      user: { id: user.id },
      slug,
      kind: kinds[i] ?? kind,
      expiresAt,
      ttl,
      actor,
    })),
  );
  refuseFailed(wanted, outcomes);
}

/** @throws an error that rolls the transaction back, unless every change is in place. */
function refuseFailed(wanted: readonly Wanted[], outcomes: readonly Outcome[]): void {
  const unknown = wanted.filter((_, i) => outcomes[i] === 'segment_unknown' || outcomes[i] === 'raced');
  if (unknown.length > 0) throw unknownSegment(...unknown.map(({ slug }) => slug));
  const late = wanted.filter((_, i) => outcomes[i] === 'past');
  if (late.length > 0) throw pastTime(...late);
  refuseUndone(outcomes);
}

/** @throws Fenced or StaleRead, unless every change is in place. */
export function refuseUndone(outcomes: readonly Outcome[]): void {
  if (outcomes.includes('fenced')) throw new Fenced();
  const isDone = (outcome: Outcome) => ['added', 'updated', 'removed', 'unchanged'].includes(outcome);
  if (!outcomes.every(isDone)) throw new StaleRead('a user or a segment was changed');
}

/** Part of erasing a user: removes their overrides, with history. Those that had ended before are dated with their own end. */
export async function removeOverridesOfErased(tx: Tx, userId: number, actor: string): Promise<void> {
  await removeEndedOfUser(tx, userId);
  await removeAllOfUser(tx, userId, actor);
}
