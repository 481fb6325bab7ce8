import type { UserRef } from '@kohort/contract';
import type { AtMost } from '../../../concurrency/at-most.ts';
import { Turns } from '../../../concurrency/turns.ts';
import { type Coalesced, coalesce } from '../../../postgres/batch.ts';
import { decideAll, decideOne } from '../../../segmentation/decide.ts';
import type { Definitions } from '../../../segmentation/definitions.ts';
import type { Membership, Source } from '../../../segmentation/membership.ts';
import type { Mode } from '../../../segmentation/overrides.ts';
import { percentageAt } from '../../../segmentation/share.ts';
import { bucketOf, keyOf, type Subject } from '../../../segmentation/subject.ts';
import { unknownSegment } from '../../segments/segments.ts';
import { unknownUser } from '../../users/users.ts';
import { type OverrideRow, readStanding, selectStates, type UserState } from './explain.sql.ts';
import { answerTooLarge, largeEntries, maxAnswerBytes } from './large-answers.ts';
import { type ReadContext, type Reader, withDefinitions } from './with-definitions.ts';

/** A user's state with the definitions that were current for the same statement. */
export interface SeenUser {
  /** Undefined for an unknown user. */
  readonly user: UserState | undefined;
  readonly definitions: Definitions;
  /** The moment of that statement, in milliseconds since 1970. */
  readonly now: number;
}

/** The data that decides about one user; concurrent calls share a statement. */
export type StateOfUser = Coalesced<UserRef, SeenUser>;

/** The distinct refs, and the index of each of `refs` among them. */
function distinctOf(refs: readonly UserRef[]): { distinct: UserRef[]; places: number[] } {
  const distinct: UserRef[] = [];
  const placeOf = new Map<string | number, number>();
  const places = refs.map((ref) => {
    const key = 'id' in ref ? ref.id : ref.externalId;
    const place = placeOf.get(key) ?? distinct.push(ref) - 1;
    placeOf.set(key, place);
    return place;
  });
  return { distinct, places };
}

/** Reads a user once for all concurrent calls: their overrides may be megabytes. */
async function readStates({ db, definitions }: ReadContext, refs: readonly UserRef[]): Promise<SeenUser[]> {
  const { distinct, places } = distinctOf(refs);
  return withDefinitions(definitions, async (current) => {
    const { revision, now, users } = await selectStates(db, distinct, { attributes: current.needsAttributes });
    if (revision !== current.revision) return { revision };
    const seen = users.map((user) => ({ user, definitions: current, now }));
    return { answer: places.map((place) => seen[place] ?? { user: undefined, definitions: current, now }) };
  });
}

export function coalesceStateOfUser(
  read: Reader<ReadContext>,
  observe: (callers: number, waitedMs: number) => void,
): StateOfUser {
  return coalesce({
    run: (refs) => read((context) => readStates(context, refs)),
    maxBatch: 256,
    concurrency: 3,
    maxWaiting: 10_000,
    observe,
  });
}

/** An existing user. */
interface ReadUser extends SeenUser {
  readonly user: UserState;
}

/** A user whose overrides have been read. */
interface Known extends ReadUser {
  readonly overrides: ReadonlyMap<number, OverrideRow>;
  readonly subject: Subject;
}

export function modesOf(overrides: ReadonlyMap<number, OverrideRow>): ReadonlyMap<number, Mode> {
  const modes = new Map<number, Mode>();
  for (const [segmentId, { mode }] of overrides) modes.set(segmentId, mode);
  return modes;
}

async function existing(stateOf: StateOfUser, ref: UserRef): Promise<ReadUser> {
  const { user, ...seen } = await stateOf(ref);
  if (!user) throw unknownUser();
  return { user, ...seen };
}

async function known({ user, definitions, now }: ReadUser, turns: Turns): Promise<Known> {
  const overrides = await turns.take(readStanding(user.overrides));
  const subject = { key: keyOf(user), attributes: user.attributes, overrides: modesOf(overrides) };
  return { user, definitions, now, overrides, subject };
}

/** Slugs are ASCII, so `<` sorts them by byte. */
function bySlug(a: Membership, b: Membership): number {
  return a.definition.slug < b.definition.slug ? -1 : a.definition.slug > b.definition.slug ? 1 : 0;
}

/** The caller of a read of all segments of a user: the segments they see, and whose share its work counts against. */
export interface Asker {
  readonly caller: string;
  readonly seenBy: (segmentIds: readonly number[]) => Promise<ReadonlySet<number>>;
}

/** The approximate size of one override in the text of a {@link UserState}. */
const overrideChars = 20;

/** Every segment of a user with the reason, sorted by slug, each serialized to JSON: a user may be in very many. */
export async function membershipsOf(
  { stateOf, largeAnswers }: { readonly stateOf: StateOfUser; readonly largeAnswers: AtMost },
  ref: UserRef,
  { caller, seenBy }: Asker,
): Promise<string[]> {
  const state = await existing(stateOf, ref);
  const isLarge = (state.user.overrides?.length ?? 0) > largeEntries * overrideChars;
  return isLarge ? largeAnswers.run(() => membershipsIn(state, seenBy), caller) : membershipsIn(state, seenBy);
}

async function membershipsIn(state: ReadUser, seenBy: Asker['seenBy']): Promise<string[]> {
  const turns = new Turns();
  const { definitions, now, overrides, subject } = await known(state, turns);
  const decided = await turns.take(decideAll(definitions, subject, now));
  if (turns.isOver) await turns.pause();
  const memberships = decided.memberships.toSorted(bySlug);
  const seen = await seenBy(memberships.map(({ definition }) => definition.id));
  const texts: string[] = [];
  let bytes = 0;
  for (const { definition, source } of memberships) {
    if (turns.isOver) await turns.pause();
    if (!seen.has(definition.id)) continue;
    const { since = null, expires_at = null } = overrides.get(definition.id) ?? {};
    const text = JSON.stringify({ slug: definition.slug, source, since, expires_at });
    texts.push(text);
    bytes += text.length;
    if (bytes > maxAnswerBytes) throw answerTooLarge();
  }
  return texts;
}

export interface Explanation {
  readonly member: boolean;
  readonly source: Source;
  readonly expires_at: Date | null;
  /** The current value, if the segment has a percentage or a ramp. */
  readonly percentage: number | null;
  readonly bucket: number | null;
  readonly matched: boolean | null;
}

/** Whether a user is in a segment, and why. */
export async function explain(stateOf: StateOfUser, ref: UserRef, slug: string): Promise<Explanation> {
  const turns = new Turns();
  const { definitions, now, overrides, subject } = await known(await existing(stateOf, ref), turns);
  const definition = definitions.bySlug.get(slug);
  if (!definition) throw unknownSegment(slug);
  const { member, source, matched } = await turns.take(decideOne(definitions, definition, subject, now));
  return {
    member,
    source,
    expires_at: overrides.get(definition.id)?.expires_at ?? null,
    percentage: definition.share && percentageAt(definition.share, now),
    bucket: bucketOf(definition, subject),
    matched,
  };
}
