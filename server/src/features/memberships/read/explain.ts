import { Problem, type UserRef } from '@kohort/contract';
import { type Coalesced, coalesce } from '../../../postgres/batch.ts';
import type { Database } from '../../../postgres/database.ts';
import { bucket } from '../../../segmentation/bucket.ts';
import { decideAll, decideOne, keyOf, type Source, type Subject } from '../../../segmentation/decide.ts';
import type { Definitions } from '../../../segmentation/definition.ts';
import type { DefinitionCache } from '../../segments/definitions.ts';
import { unknownSegment } from '../../segments/segments.ts';
import { unknownUser } from '../../users/users.ts';
import { selectStates, type UserState } from './explain.sql.ts';

/** A user's state together with the definitions that were current for the same statement. */
interface Seen {
  readonly user: UserState;
  readonly definitions: Definitions;
}

export interface Explanation {
  readonly member: boolean;
  readonly source: Source;
  readonly expires_at: Date | null;
  readonly bucket: number | null;
  readonly matched: boolean | null;
}

export interface Membership {
  readonly slug: string;
  readonly source: Source;
  readonly since: Date | null;
  readonly expires_at: Date | null;
}

export interface MembershipReads {
  membershipsOf(user: UserRef): Promise<Membership[]>;
  explain(user: UserRef, slug: string): Promise<Explanation>;
  readonly coalesced: Coalesced<UserRef, Seen | undefined>;
}

const MAX_READS = 10;

/** Slugs are ASCII and sort by byte, which is what `<` does to them. */
function bySlug(a: { slug: string }, b: { slug: string }): number {
  return a.slug < b.slug ? -1 : a.slug > b.slug ? 1 : 0;
}

export function subjectOf(user: UserState): Subject {
  return {
    key: keyOf(user),
    attributes: user.attributes,
    overrides: new Map(user.overrides.map(({ segment_id, mode }) => [segment_id, mode])),
  };
}

export function createMembershipReads({
  db,
  definitions,
  observe,
}: {
  db: Database;
  definitions: DefinitionCache;
  observe: (callers: number, waitedMs: number) => void;
}): MembershipReads {
  /**
   * Reads users and the definitions of one and the same moment: the statement tells which revision was current for it, and
   * when memory does not hold that one, memory is brought up and the statement run again.
   */
  async function see(refs: readonly UserRef[]): Promise<(Seen | undefined)[]> {
    for (let attempt = 1; attempt <= MAX_READS; attempt++) {
      const held = definitions.current();
      const { revision, users } = await selectStates(db, refs, { attributes: held.hasConditions });
      if (revision === held.revision) return users.map((user) => user && { user, definitions: held });
      await definitions.at(revision);
    }
    throw new Problem('overloaded', 'The definitions of segments keep changing. Try again shortly.', { retryAfter: 1 });
  }

  const seeOne = coalesce<UserRef, Seen | undefined>({
    run: see,
    maxBatch: 256,
    concurrency: 3,
    maxWaiting: 10_000,
    observe,
  });

  async function existing(ref: UserRef): Promise<Seen> {
    const seen = await seeOne(ref);
    if (!seen) throw unknownUser();
    return seen;
  }

  return {
    coalesced: seeOne,

    async membershipsOf(ref) {
      const { user, definitions: held } = await existing(ref);
      const overrides = new Map(user.overrides.map((override) => [override.segment_id, override]));
      return decideAll(held, subjectOf(user))
        .map(({ definition, source }) => {
          const override = overrides.get(definition.id);
          return {
            slug: definition.slug,
            source,
            since: override?.since ?? null,
            expires_at: override?.expires_at ?? null,
          };
        })
        .sort(bySlug);
    },

    async explain(ref, slug) {
      const { user, definitions: held } = await existing(ref);
      const definition = held.bySlug.get(slug);
      if (!definition) throw unknownSegment(slug);
      const subject = subjectOf(user);
      const { member, source, matched } = decideOne(held, definition, subject);
      return {
        member,
        source,
        expires_at: user.overrides.find(({ segment_id }) => segment_id === definition.id)?.expires_at ?? null,
        bucket: definition.percentage === null ? null : bucket(definition.salt, subject.key),
        matched,
      };
    },
  };
}
