import { Problem, type UserRef } from '@kohort/contract';
import { type Coalesced, coalesce } from '../../../postgres/batch.ts';
import type { Database, Tx } from '../../../postgres/database.ts';
import { transactionBesideBulk } from '../../../postgres/locks.ts';
import { retrying } from '../../../postgres/transaction.ts';
import { decideOne, keyOf, type Mode } from '../../../segmentation/decide.ts';
import { type Definitions, isList } from '../../../segmentation/definition.ts';
import type { DefinitionCache } from '../../segments/definitions.ts';
import { unknownSegment } from '../../segments/segments.ts';
import { findOrRegister, type UserRow, unknownUser } from '../../users/users.ts';
import { tidyUser } from './expiry-and-purge.sql.ts';
import {
  applyChanges,
  dropAllOfUser,
  type Outcome,
  type OverrideChange,
  type OverrideKind,
  selectPast,
  selectStanding,
} from './ledger.sql.ts';

export interface Wanted {
  readonly slug: string;
  readonly kind: Exclude<OverrideKind, 'leave'>;
  readonly expiresAt: Date | null;
  readonly ttl: number | null;
  /** Where in the request it stands, as a JSON pointer. */
  readonly path: string;
}

export interface Overrides {
  /** One change of one pair. */
  apply(user: UserRef, wanted: Wanted, actor: string): Promise<void>;
  /** Several of one user, all or nothing; the slugs are distinct. */
  applyAll(user: UserRef, wanted: readonly Wanted[], actor: string): Promise<void>;
  readonly coalesced: Coalesced<OverrideChange, Outcome>;
}

const MAX_ATTEMPTS = 5;

function pastTime(...wanted: readonly Wanted[]): Problem {
  const errors = wanted.map(({ path }) => ({ path: `${path}/expires_at`, message: 'must be in the future' }));
  return new Problem('invalid', errors.map(({ path, message }) => `${path} ${message}`).join('; '), { errors });
}

function keepsChanging(): Problem {
  return new Problem('overloaded', 'The segment keeps changing. Try again shortly.', { retryAfter: 1 });
}

/** What a transaction had to know changed while it ran: nothing of it happened, and it is to be tried again. */
class Outrun extends Error {}

/** An import is being applied to what a transaction is about. */
class Held extends Error {}

/**
 * How removals have to be done so that the user is out of all of them once the other changes are made too: an include is
 * dropped, and where percentage or condition would let the user in then, an exclude is set. Judged in the order of the
 * conditions that name segments, since to put somebody out of one may let them into the next.
 */
function settleRemovals(
  held: Definitions,
  user: UserRow,
  standing: ReadonlyMap<number, Mode>,
  wanted: readonly Wanted[],
): OverrideKind[] {
  const overrides = new Map(standing);
  const removals = new Set<number>();
  for (const { slug, kind } of wanted) {
    const definition = held.bySlug.get(slug);
    if (!definition) continue;
    if (kind === 'include' || kind === 'exclude') overrides.set(definition.id, kind);
    else if (kind === 'auto' || overrides.get(definition.id) === 'include') overrides.delete(definition.id);
    if (kind === 'remove') removals.add(definition.id);
  }
  const excluded = new Set<number>();
  for (const definition of held.dynamic) {
    if (!removals.has(definition.id)) continue;
    const subject = { key: keyOf(user), attributes: user.attributes, overrides };
    if (decideOne(held, definition, subject).member) {
      excluded.add(definition.id);
      overrides.set(definition.id, 'exclude');
    }
  }
  return wanted.map(({ slug, kind }) => {
    const definition = held.bySlug.get(slug);
    if (kind !== 'remove' || !definition || isList(definition)) return kind;
    return excluded.has(definition.id) ? 'exclude' : 'leave';
  });
}

/**
 * One statement for callers who name users by our id, one for those who name them by theirs: so no statement can meet one
 * pair under two names. A failure of one is no failure of the other.
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

export function createOverrides({
  db,
  definitions,
  untilLifted,
  observe,
}: {
  db: Database;
  definitions: DefinitionCache;
  /** Waits for the imports that are being applied. */
  untilLifted: () => Promise<void>;
  observe: (callers: number, waitedMs: number) => void;
}): Overrides {
  const applyOne = coalesce<OverrideChange, Outcome>({
    run: (changes) => applyByForm(db, changes),
    maxBatch: 256,
    concurrency: 3,
    maxWaiting: 10_000,
    // Two changes of one pair never share a statement, and go out in the order they were asked for. What one statement cannot
    // do is done after it, so there a later change that did not wait for the answer may come first.
    keyOf: ({ user, slug }) => `${user.id ?? `ext:${user.externalId}`} ${slug}`,
    observe,
  });

  async function applyInTransaction(tx: Tx, ref: UserRef, wanted: readonly Wanted[], actor: string): Promise<void> {
    const past = await selectPast(
      tx,
      wanted.map(({ expiresAt }) => expiresAt),
    );
    if (past.length > 0) throw pastTime(...past.flatMap((place) => wanted[place] ?? []));
    const user = await findOrRegister(tx, ref);
    // From here on nobody else changes the memberships of this user.
    await tidyUser(tx, user.id);
    const kinds = wanted.some(({ kind }) => kind === 'remove')
      ? settleRemovals(definitions.current(), user, await selectStanding(tx, user.id), wanted)
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
    const unknown = wanted.filter((_, i) => outcomes[i] === 'segment_unknown' || outcomes[i] === 'raced');
    if (unknown.length > 0) throw unknownSegment(...unknown.map(({ slug }) => slug));
    const late = wanted.filter((_, i) => outcomes[i] === 'past');
    if (late.length > 0) throw pastTime(...late);
    if (outcomes.includes('held')) throw new Held();
    if (outcomes.some((outcome) => outcome !== 'applied' && outcome !== 'unchanged')) throw new Outrun();
  }

  async function applyAll(ref: UserRef, wanted: readonly Wanted[], actor: string): Promise<void> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      if (wanted.some(({ kind }) => kind === 'remove')) await definitions.fresh();
      try {
        await transactionBesideBulk(db, untilLifted, (tx) => applyInTransaction(tx, ref, wanted, actor));
        return;
      } catch (error) {
        if (error instanceof Held) await untilLifted();
        else if (!(error instanceof Outrun)) throw error;
      }
    }
    throw keepsChanging();
  }

  return {
    coalesced: applyOne,
    applyAll,

    async apply(user, wanted, actor) {
      const { slug, kind, expiresAt, ttl } = wanted;
      for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
        const outcome = await applyOne({ user, slug, kind, expiresAt, ttl, actor });
        switch (outcome) {
          case 'applied':
          case 'unchanged':
            return;
          case 'past':
            throw pastTime(wanted);
          case 'segment_unknown':
            throw unknownSegment(slug);
          case 'user_unknown':
            if (user.id !== undefined || kind === 'remove') throw unknownUser();
            return applyAll(user, [wanted], actor);
          case 'expired':
          case 'dynamic':
            return applyAll(user, [wanted], actor);
          case 'held':
            await untilLifted();
            continue;
          case 'raced':
            continue;
        }
      }
      throw keepsChanging();
    },
  };
}

/** Part of erasing a user: their overrides end, with history; those that had ended before are dated with their own ends. */
export async function dropAllOverrides(tx: Tx, userId: number, actor: string): Promise<void> {
  await tidyUser(tx, userId);
  await dropAllOfUser(tx, userId, actor);
}
