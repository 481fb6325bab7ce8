import type { UserRef } from '@kohort/contract';
import { type Coalesced, coalesce } from '../../../postgres/batch.ts';
import { bucket } from '../../../segmentation/bucket.ts';
import { decideAll, decideOne, keyOf, type Source, type Subject } from '../../../segmentation/decide.ts';
import type { Definitions } from '../../../segmentation/definition.ts';
import { unknownSegment } from '../../segments/segments.ts';
import { unknownUser } from '../../users/users.ts';
import { Turns } from '../turns.ts';
import { selectStates, type UserState } from './explain.sql.ts';
import { type ReadContext, withDefinitions } from './with-definitions.ts';

/** A user's state together with the definitions that were current for the same statement. */
interface SeenUser {
  readonly user: UserState;
  readonly definitions: Definitions;
}

/** What decides about one user; calls at the same time share a statement. Undefined for an unknown user. */
export type StateOfUser = Coalesced<UserRef, SeenUser | undefined>;

async function readStates(
  { db, definitions }: ReadContext,
  refs: readonly UserRef[],
): Promise<(SeenUser | undefined)[]> {
  return withDefinitions(definitions, async (current) => {
    const { revision, users } = await selectStates(db, refs, { attributes: current.hasConditions });
    if (revision !== current.revision) return { revision };
    return { answer: users.map((user) => user && { user, definitions: current }) };
  });
}

export function coalesceStateOfUser(
  context: ReadContext,
  observe: (callers: number, waitedMs: number) => void,
): StateOfUser {
  return coalesce({
    run: (refs) => readStates(context, refs),
    maxBatch: 256,
    concurrency: 3,
    maxWaiting: 10_000,
    observe,
  });
}

async function existing(stateOf: StateOfUser, ref: UserRef): Promise<SeenUser> {
  const seen = await stateOf(ref);
  if (!seen) throw unknownUser();
  return seen;
}

function subjectOf(user: UserState): Subject {
  return {
    key: keyOf(user),
    attributes: user.attributes,
    overrides: new Map(user.overrides.map(({ segment_id, mode }) => [segment_id, mode])),
  };
}

/** Slugs are ASCII and sort by byte, which is what `<` does to them. */
function bySlug(a: { slug: string }, b: { slug: string }): number {
  return a.slug < b.slug ? -1 : a.slug > b.slug ? 1 : 0;
}

export interface Membership {
  readonly slug: string;
  readonly source: Source;
  readonly since: Date | null;
  readonly expires_at: Date | null;
}

/** Every segment of a user with the reason, sorted by slug. */
export async function membershipsOf(stateOf: StateOfUser, ref: UserRef): Promise<Membership[]> {
  const { user, definitions } = await existing(stateOf, ref);
  const overrides = new Map(user.overrides.map((override) => [override.segment_id, override]));
  const decided = await new Turns().take(decideAll(definitions, subjectOf(user)));
  return decided
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
}

export interface Explanation {
  readonly member: boolean;
  readonly source: Source;
  readonly expires_at: Date | null;
  readonly bucket: number | null;
  readonly matched: boolean | null;
}

/** Whether a user is in a segment, and why. */
export async function explain(stateOf: StateOfUser, ref: UserRef, slug: string): Promise<Explanation> {
  const { user, definitions } = await existing(stateOf, ref);
  const definition = definitions.bySlug.get(slug);
  if (!definition) throw unknownSegment(slug);
  const subject = subjectOf(user);
  const { member, source, matched } = await new Turns().take(decideOne(definitions, definition, subject));
  return {
    member,
    source,
    expires_at: user.overrides.find(({ segment_id }) => segment_id === definition.id)?.expires_at ?? null,
    bucket: definition.percentage === null ? null : bucket(definition.salt, subject.key),
    matched,
  };
}
