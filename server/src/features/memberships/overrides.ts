import { invalid, Problem, type UserRef } from '@kohort/contract';
import { type Coalesced, coalesce } from '../../postgres/coalesce.ts';
import { type Database, retrying, type Tx } from '../../postgres/database.ts';
import type { DefinitionCache } from '../segments/definitions.ts';
import { isList } from '../segments/definitions.ts';
import { unknownSegment } from '../segments/segments.ts';
import { findOrRegister, type UserRow, unknownUser } from '../users/users.ts';
import { decideOne, keyOf } from './decide.ts';
import {
  anyPast,
  applyChanges,
  dropAllOfUser,
  type Outcome,
  type OverrideChange,
  type OverrideKind,
} from './overrides.sql.ts';
import { tidyUser } from './tidy.sql.ts';

export interface Wanted {
  readonly slug: string;
  readonly kind: Exclude<OverrideKind, 'leave'>;
  readonly expiresAt: Date | null;
  readonly ttl: number | null;
}

export interface Overrides {
  /** One change of one pair. */
  apply(user: UserRef, wanted: Wanted, actor: string): Promise<void>;
  /** Several of one user, all or nothing; the slugs are distinct. */
  applyAll(user: UserRef, wanted: readonly Wanted[], actor: string): Promise<void>;
  readonly coalesced: Coalesced<OverrideChange, Outcome>;
}

const MAX_ATTEMPTS = 5;

function pastTime(): Problem {
  return invalid('/body/expires_at', 'must be in the future');
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
  observe,
}: {
  db: Database;
  definitions: DefinitionCache;
  observe: (callers: number, waitedMs: number) => void;
}): Overrides {
  const applyOne = coalesce<OverrideChange, Outcome>({
    run: (changes) => applyByForm(db, changes),
    maxBatch: 256,
    concurrency: 3,
    maxWaiting: 10_000,
    // Two changes of one pair never share a statement, and happen in the order they were asked for.
    keyOf: ({ user, slug }) => `${user.id ?? `ext:${user.externalId}`} ${slug}`,
    observe,
  });

  /** `remove` as it has to be done for this user: where the rule lets them in, only an `exclude` puts them out. */
  function removalOf(user: UserRow, slug: string, held: ReturnType<DefinitionCache['current']>): OverrideKind {
    const definition = held.bySlug.get(slug);
    if (!definition || isList(definition)) return 'remove';
    const rule = decideOne(held, definition, { key: keyOf(user), attributes: user.attributes, overrides: new Map() });
    return rule.member ? 'exclude' : 'leave';
  }

  async function applyInTransaction(tx: Tx, ref: UserRef, wanted: readonly Wanted[], actor: string): Promise<void> {
    const times = wanted.flatMap(({ expiresAt }) => expiresAt ?? []);
    if (times.length > 0 && (await anyPast(tx, times))) throw pastTime();
    const held = definitions.current();
    const user = await findOrRegister(tx, ref);
    await tidyUser(tx, user.id);
    const outcomes = await applyChanges(
      tx,
      wanted.map(({ slug, kind, expiresAt, ttl }) => ({
        user: { id: user.id },
        slug,
        kind: kind === 'remove' ? removalOf(user, slug, held) : kind,
        expiresAt,
        ttl,
        actor,
      })),
    );
    const unknown = wanted.filter((_, i) => outcomes[i] === 'segment_unknown' || outcomes[i] === 'raced');
    if (unknown.length > 0) throw unknownSegment(...unknown.map(({ slug }) => slug));
    if (outcomes.includes('past')) throw pastTime();
    if (outcomes.some((outcome) => outcome !== 'applied' && outcome !== 'unchanged')) {
      throw new Problem('overloaded', 'The segment keeps changing. Try again shortly.', { retryAfter: 1 });
    }
  }

  async function applyAll(ref: UserRef, wanted: readonly Wanted[], actor: string): Promise<void> {
    if (wanted.some(({ kind }) => kind === 'remove')) await definitions.fresh();
    await db.transaction((tx) => applyInTransaction(tx, ref, wanted, actor));
  }

  return {
    coalesced: applyOne,
    applyAll,

    async apply(user, { slug, kind, expiresAt, ttl }, actor) {
      for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
        const outcome = await applyOne({ user, slug, kind, expiresAt, ttl, actor });
        switch (outcome) {
          case 'applied':
          case 'unchanged':
            return;
          case 'past':
            throw pastTime();
          case 'segment_unknown':
            throw unknownSegment(slug);
          case 'user_unknown':
            if (user.id !== undefined || kind === 'remove') throw unknownUser();
            return applyAll(user, [{ slug, kind, expiresAt, ttl }], actor);
          case 'expired':
          case 'dynamic':
            return applyAll(user, [{ slug, kind, expiresAt, ttl }], actor);
          case 'raced':
            continue;
        }
      }
      throw new Problem('overloaded', 'The segment keeps changing. Try again shortly.', { retryAfter: 1 });
    },
  };
}

/** Part of erasing a user: their overrides end, with history; those that had ended before are dated with their own ends. */
export async function dropAllOverrides(tx: Tx, userId: number, actor: string): Promise<void> {
  await tidyUser(tx, userId);
  await dropAllOfUser(tx, userId, actor);
}
