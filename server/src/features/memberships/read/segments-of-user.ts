import type { UserRef } from '@kohort/contract';
import { Turns } from '../../../concurrency/turns.ts';
import { type Coalesced, coalesce } from '../../../postgres/batch.ts';
import { type Decided, decideAll } from '../../../segmentation/decide.ts';
import type { Definition } from '../../../segmentation/definition.ts';
import type { Definitions } from '../../../segmentation/definitions.ts';
import { readOverrides } from '../../../segmentation/overrides.ts';
import { keyOf } from '../../../segmentation/subject.ts';
import { AnswerCache } from './answer-cache.ts';
import { answerTooLarge } from './large-answers.ts';
import { type FoundSubject, type FoundUser, selectLists, selectSubjects } from './segments-of-user.sql.ts';
import { SlugOrder } from './slug-order.ts';
import { hashOf, Visitors } from './visitors.ts';
import { type AtRevision, type ReadContext, type Reader, withDefinitions } from './with-definitions.ts';

/**
 * The sorted segments of a user as the response body of the fast path, `{"segments":["A","B"]}`. One text takes half the memory
 * of a list, and is easily turned into one.
 */
export type SegmentsBody = string;

const opening = '{"segments":["';
const closing = '"]}';
const noSegments = '{"segments":[]}';

/** Of slugs in their order. They contain nothing that JSON would escape. */
export function bodyOf(slugs: readonly string[]): SegmentsBody {
  return slugs.length === 0 ? noSegments : `${opening}${slugs.join('","')}${closing}`;
}

export function slugsOf(body: SegmentsBody): string[] {
  return body === noSegments ? [] : body.slice(opening.length, -closing.length).split('","');
}

/** Per half: room for some hundred thousand users in twenty segments each, or some thousand in a thousand. */
const cacheHalfBytes = 64 * 1024 * 1024;
/** The approximate size of an entry without its texts. */
const entryBytes = 150;

interface CachedUser {
  readonly id: number;
  readonly version: number;
  readonly overrides: string;
  readonly body: SegmentsBody;
  /** The moment it was computed for, and the first at which time alone may change it. */
  readonly from: number;
  readonly holdsUntil: number;
}

/** Answers computed under one revision of the definitions. The next revision drops them all. */
interface CachedAnswers {
  readonly definitions: Definitions;
  /** If all segments are lists, only overrides decide. */
  readonly byOverrides: AnswerCache<string, SegmentsBody>;
  /** Otherwise key and attributes matter too; id and version determine both. */
  readonly byUser: AnswerCache<string | number, CachedUser>;
  readonly order: SlugOrder;
  /** The latest moment that a statement reported: segments that had ended by then are ignored. */
  latest: number;
}

/** Nearly all texts are ASCII, which takes one byte per character. */
function bytesOf(overrides: string, body: SegmentsBody): number {
  return entryBytes + overrides.length + body.length;
}

function cacheFor(definitions: Definitions): CachedAnswers {
  return {
    definitions,
    byOverrides: new AnswerCache(cacheHalfBytes, bytesOf),
    byUser: new AnswerCache(cacheHalfBytes, (_, { overrides, body }) => bytesOf(overrides, body)),
    order: new SlugOrder(definitions.byId),
    latest: 0,
  };
}

export interface SegmentsContext extends ReadContext {
  cached: CachedAnswers;
  /**
   * Users, or overrides, that were decided about, under whatever definitions. Answers are kept from the second time on, since keeping
   * one takes time too.
   */
  readonly visitors: Visitors;
}

export function segmentsContext({ db, definitions }: ReadContext): SegmentsContext {
  return { db, definitions, cached: cacheFor(definitions.current), visitors: new Visitors() };
}

function cachedUnder(context: SegmentsContext, current: Definitions): CachedAnswers {
  if (context.cached.definitions !== current) context.cached = cacheFor(current);
  return context.cached;
}

export function cacheKeyOf(ref: UserRef): string | number {
  return ref.id ?? `ext:${ref.externalId}`;
}

/** A copy that does not hold on to the text of the whole statement, of which it is a part. */
function flat(ascii: string): string {
  return Buffer.from(ascii, 'latin1').toString('latin1');
}

function bodyFromLists(
  { definitions, byOverrides, order }: CachedAnswers,
  visitors: Visitors,
  { overrides }: FoundUser,
): SegmentsBody {
  const cached = byOverrides.get(overrides);
  if (cached) return cached;
  const segments: Definition[] = [];
  readOverrides(overrides).forEach((mode, id) => {
    const definition = definitions.byId.get(id);
    if (definition && mode === 'include') segments.push(definition);
  });
  const body = bodyOf(order.sorted(segments));
  if (visitors.cameBefore(hashOf(overrides))) byOverrides.set(flat(overrides), body);
  return body;
}

/** A promise only if the decision had to yield to other work: it is made for every user of a statement. */
function bodyFromSubject(
  { definitions, byUser, order }: CachedAnswers,
  visitors: Visitors,
  { ref, overrides, subject }: { ref: UserRef; overrides: string; subject: FoundSubject },
  now: number,
  turns: Turns,
): SegmentsBody | Promise<SegmentsBody> {
  const { id, version, attributes } = subject;
  const remember = ({ memberships, holdsUntil }: Decided): SegmentsBody => {
    const body = bodyOf(order.sorted(memberships.map(({ definition }) => definition)));
    const key = cacheKeyOf(ref);
    // An entry that holds no longer is replaced in any case: found again, it would have a whole statement read anew.
    const isKept = visitors.cameBefore(id) || byUser.get(key) !== undefined;
    if (isKept) byUser.set(key, { id, version, overrides, body, from: now, holdsUntil });
    return body;
  };
  const steps = decideAll(definitions, { key: keyOf(subject), attributes, overrides: readOverrides(overrides) }, now);
  const decided = turns.take(steps);
  return decided instanceof Promise ? decided.then(remember) : remember(decided);
}

/** A cached answer, unless it has expired. */
function cachedFor({ byUser, latest }: CachedAnswers, ref: UserRef): CachedUser | undefined {
  const known = byUser.get(cacheKeyOf(ref));
  return known && latest < known.holdsUntil ? known : undefined;
}

function holds({ overrides, from, holdsUntil }: CachedUser, found: FoundUser, now: number): boolean {
  return overrides === found.overrides && from <= now && now < holdsUntil;
}

export type Bodies = (SegmentsBody | undefined)[];

async function readUnder(
  context: SegmentsContext,
  current: Definitions,
  refs: readonly UserRef[],
  options: { useCache: boolean; maxBytes: number },
): Promise<AtRevision<Bodies>> {
  const { visitors } = context;
  const cached = cachedUnder(context, current);
  const known = refs.map((ref) => (current.isPlain || !options.useCache ? undefined : cachedFor(cached, ref)));
  const select = current.isPlain ? selectLists : selectSubjects;
  const { revision, now, users } = await select(
    context.db,
    refs.map((ref, i) => ({ ref, known: known[i] })),
  );
  if (revision !== current.revision) return { revision };
  cached.latest = Math.max(cached.latest, now);
  const bodies: Bodies = [];
  const turns = new Turns();
  let bytes = 0;
  for (const [i, found] of users.entries()) {
    const ref = refs[i];
    if (!found || !ref) {
      bodies.push(undefined);
    } else if (current.isPlain) {
      bodies.push(bodyFromLists(cached, visitors, found));
      if (i + 1 < users.length && turns.isOver) await turns.pause();
    } else if (found.subject) {
      const { overrides, subject } = found;
      const body = bodyFromSubject(cached, visitors, { ref, overrides, subject }, now, turns);
      bodies.push(typeof body === 'string' ? body : await body);
      // Decisions that take one step each do not look at the clock, and a statement may bring some thousand.
      if (i + 1 < users.length && turns.isOver) await turns.pause();
    } else if (known[i] && holds(known[i], found, now)) {
      bodies.push(known[i].body);
    } else {
      // Overrides or time changed since the answer was cached: read again, with everything that a new answer needs.
      return readUnder(context, current, refs, { ...options, useCache: false });
    }
    bytes += bodies[i]?.length ?? 0;
    if (bytes > options.maxBytes) throw answerTooLarge();
  }
  return { answer: bodies };
}

/**
 * The fast path: the segments of each user; undefined for an unknown user. Every answer comes from a statement that started after
 * the call arrived. Only the conversion of its result into an answer is cached, which is a pure function of that result.
 */
export async function segmentsOf(
  context: SegmentsContext,
  refs: readonly UserRef[],
  /** The size of all answers together. */
  maxBytes = Number.POSITIVE_INFINITY,
): Promise<Bodies> {
  if (refs.length === 0) return [];
  return withDefinitions(context.definitions, (current) =>
    readUnder(context, current, refs, { useCache: true, maxBytes }),
  );
}

/** The segments of one user; concurrent calls share a statement. Undefined for an unknown user. */
export type SegmentsOfUser = Coalesced<UserRef, SegmentsBody | undefined>;

export function coalesceSegmentsOfUser(
  read: Reader<SegmentsContext>,
  observe: (callers: number, waitedMs: number) => void,
): SegmentsOfUser {
  return coalesce({
    run: (refs) => read((context) => segmentsOf(context, refs)),
    maxBatch: 256,
    concurrency: 3,
    maxWaiting: 10_000,
    observe,
  });
}
