import { invalid, type UserRef } from '@kohort/contract';
import { Turns } from '../../../concurrency/turns.ts';
import type { Transactor, Tx } from '../../../postgres/database.ts';
import { StaleRead } from '../../../postgres/stale-read.ts';
import { isList } from '../../../segmentation/definition.ts';
import type { Definitions } from '../../../segmentation/definitions.ts';
import { transactionBesideFences } from '../../fences/fences.ts';
import { unknownSegment } from '../../segments/segments.ts';
import { lockUsersByRef, registerMissing, selectUsersById, unknownUsers } from '../../users/users.ts';
import { selectMoment } from '../moment.sql.ts';
import { applyChanges } from './apply.sql.ts';
import { removeExpiredOfUsers } from './ended.sql.ts';
import { type Ledger, pastTime, refuseUndone, untilNotStale, type Wanted } from './ledger.ts';
import { selectPast, selectSegmentId, selectStanding } from './lookups.sql.ts';
import type { Outcome, OverrideKind } from './override-change.ts';
import { settleRemovals } from './removals.ts';

/** A change of one member requested by a caller. */
export interface MemberChange extends Pick<Wanted, 'expiresAt' | 'ttl' | 'path'> {
  readonly user: UserRef;
  /** The user as written by the caller. */
  readonly text: string;
  readonly kind: 'include' | 'remove';
}

export interface MemberCounts {
  added: number;
  updated: number;
  removed: number;
  unchanged: number;
}

/** Users per statement: their attributes may be 16 KiB each. */
const usersAtOnce = 100;

/**
 * Adds and removes many users of a segment, all or nothing.
 * @param run runs the work with the database, or within an existing transaction.
 */
export function changeMembers(
  { definitions }: Ledger,
  run: (work: (within: Transactor) => Promise<MemberCounts>) => Promise<MemberCounts>,
  slug: string,
  changes: readonly MemberChange[],
  actor: string,
): Promise<MemberCounts> {
  const needsDefinitions = changes.some(({ kind }) => kind === 'remove');
  return untilNotStale(needsDefinitions ? definitions : undefined, () =>
    run((within) =>
      transactionBesideFences(within, (tx) => changeWithin(tx, definitions.current, slug, changes, actor)),
    ),
  );
}

async function changeWithin(
  tx: Tx,
  definitions: Definitions,
  slug: string,
  changes: readonly MemberChange[],
  actor: string,
): Promise<MemberCounts> {
  const times = changes.map(({ expiresAt }) => expiresAt);
  const past = await selectPast(tx, times);
  if (past.length > 0) throw pastTime(...past.flatMap((place) => changes[place] ?? []));
  const segmentId = await selectSegmentId(tx, slug);
  if (segmentId === undefined) throw unknownSegment(slug);
  // The users are locked, so no other writer changes their memberships from here on.
  const ids = await lockAll(tx, changes, actor);
  await removeExpiredOfUsers(tx, ids, segmentId);
  const kinds = await kindsOf(tx, definitions, slug, changes, ids);
  const outcomes = await applyChanges(
    tx,
    changes.map(({ expiresAt, ttl }, i) => ({
      user: { id: ids[i] ?? 0 },
      slug,
      kind: kinds[i] ?? 'remove',
      expiresAt,
      ttl,
      actor,
    })),
  );
  if (outcomes.includes('segment_unknown')) throw unknownSegment(slug);
  const late = changes.filter((_, i) => outcomes[i] === 'past');
  if (late.length > 0) throw pastTime(...late);
  refuseUndone(outcomes);
  return countsOf(changes, outcomes);
}

/** Registers unknown external ids of added users, locks all users, and returns their ids. */
async function lockAll(tx: Tx, changes: readonly MemberChange[], actor: string): Promise<number[]> {
  const added = changes.filter(({ kind }) => kind === 'include');
  await registerMissing(
    tx,
    added.flatMap(({ user }) => user.externalId ?? []),
    actor,
  );
  const found = await lockUsersByRef(
    tx,
    changes.map(({ user }) => user),
  );
  const unknown = changes.filter((_, i) => found[i] === null);
  // A user to be added was registered by a concurrent call and erased again.
  if (unknown.some(({ kind, user }) => kind === 'include' && user.id === undefined)) {
    throw new StaleRead('a user was registered and erased');
  }
  if (unknown.length > 0) throw unknownUsers(unknown.map(({ text }) => text));
  return refuseTwins(changes, found);
}

/** Refuses a user that is named by both of their ids. */
function refuseTwins(changes: readonly MemberChange[], found: readonly (number | null)[]): number[] {
  const seen = new Map<number, string>();
  return changes.map(({ path }, i) => {
    const id = found[i] ?? 0;
    const twin = seen.get(id);
    if (twin !== undefined) throw invalid(path, `names the same user as ${twin}`);
    seen.set(id, path);
    return id;
  });
}

/** The change of each user: to be out of a segment whose rule lets them in, a user needs an exclude. */
async function kindsOf(
  tx: Tx,
  definitions: Definitions,
  slug: string,
  changes: readonly MemberChange[],
  ids: readonly number[],
): Promise<OverrideKind[]> {
  const kinds: OverrideKind[] = changes.map(({ kind }) => kind);
  const definition = definitions.bySlug.get(slug);
  if (!definition || isList(definition)) return kinds;
  const places = changes.flatMap(({ kind }, i) => (kind === 'remove' ? [i] : []));
  const placeOf = new Map(places.map((i) => [ids[i] ?? 0, i]));
  const [turns, now] = [new Turns(), await selectMoment(tx)];
  for (let from = 0; from < places.length; from += usersAtOnce) {
    const part = places.slice(from, from + usersAtOnce).map((i) => ids[i] ?? 0);
    const standing = await selectStanding(tx, part);
    for (const user of await selectUsersById(tx, part, { lock: false })) {
      const wanted = [{ slug, kind: 'remove' as const }];
      const [kind] = await settleRemovals(turns, definitions, user, standing.get(user.id) ?? new Map(), wanted, now);
      const place = placeOf.get(user.id);
      if (kind !== undefined && place !== undefined) kinds[place] = kind;
    }
  }
  return kinds;
}

/** Counts a removal as such even if it set an exclude. */
function countsOf(changes: readonly MemberChange[], outcomes: readonly Outcome[]): MemberCounts {
  const counts: MemberCounts = { added: 0, updated: 0, removed: 0, unchanged: 0 };
  for (const [i, { kind }] of changes.entries()) {
    const outcome = outcomes[i];
    if (outcome === 'unchanged') counts.unchanged++;
    else if (kind === 'remove') counts.removed++;
    else if (outcome === 'added') counts.added++;
    else counts.updated++;
  }
  return counts;
}
