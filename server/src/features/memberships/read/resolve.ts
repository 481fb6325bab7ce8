import { Problem, type UserRef } from '@kohort/contract';
import { Turns } from '../../../concurrency/turns.ts';
import { type Coalesced, coalesce } from '../../../postgres/batch.ts';
import { isReplicasFault } from '../../../postgres/replica.ts';
import { decideAll } from '../../../segmentation/decide.ts';
import { type Definitions, definitionsOf, inOrder } from '../../../segmentation/definitions.ts';
import { readOverrides } from '../../../segmentation/overrides.ts';
import { keyOf } from '../../../segmentation/subject.ts';
import { answerTooLarge, maxAnswerBytes } from './large-answers.ts';
import { type FoundUser, selectLists, selectSubjects } from './segments-of-user.sql.ts';
import {
  type Bodies,
  bodyOf,
  cacheKeyOf,
  type SegmentsBody,
  type SegmentsContext,
  segmentsOf,
} from './segments-of-user.ts';
import { type AtRevision, type Reader, withDefinitions } from './with-definitions.ts';

export interface ResolveAsk {
  readonly users: readonly UserRef[];
  /** The slugs that the answer is limited to. */
  readonly segments: readonly string[] | undefined;
}

/** The segments of many users, in the order asked; those of one call always in one statement. */
export type Resolve = Coalesced<ResolveAsk, Bodies>;

/** Beyond this many segments, single look-ups would cost more than reading all memberships of a user. */
const maxLookups = 16;

/** The segments that an answer about some needs: these, and those that their conditions name directly or indirectly. */
function narrowed(current: Definitions, slugs: readonly string[]): { definitions: Definitions; wanted: Set<string> } {
  const asked = slugs.flatMap((slug) => current.bySlug.get(slug) ?? []);
  const definitions = definitionsOf(current.revision, inOrder(current.byId, asked));
  return { definitions, wanted: new Set(asked.map(({ slug }) => slug)) };
}

async function bodyWithin(
  { definitions, wanted }: ReturnType<typeof narrowed>,
  { overrides, subject: found }: FoundUser,
  now: number,
  turns: Turns,
): Promise<SegmentsBody> {
  const { external_id = null, id = 0, attributes = {} } = found ?? {};
  const subject = { key: keyOf({ id, external_id }), attributes, overrides: readOverrides(overrides) };
  const { memberships } = await turns.take(decideAll(definitions, subject, now));
  if (turns.isOver) await turns.pause();
  const slugs = memberships.map(({ definition }) => definition.slug).filter((slug) => wanted.has(slug));
  return bodyOf(slugs.sort());
}

async function readNarrowed(
  { db }: SegmentsContext,
  current: Definitions,
  refs: readonly UserRef[],
  slugs: readonly string[],
): Promise<AtRevision<Bodies>> {
  const scope = narrowed(current, slugs);
  const ids = [...scope.definitions.byId.keys()];
  const select = scope.definitions.isPlain ? selectLists : selectSubjects;
  const { revision, now, users } = await select(
    db,
    refs.map((ref) => ({ ref, known: undefined })),
    ids.length <= maxLookups ? ids : undefined,
  );
  if (revision !== current.revision) return { revision };
  const turns = new Turns();
  const bodies: Bodies = [];
  for (const found of users) bodies.push(found && (await bodyWithin(scope, found, now, turns)));
  return { answer: bodies };
}

/** Looks up equal users once. */
async function eachOnce(
  refs: readonly UserRef[],
  read: (distinct: readonly UserRef[]) => Promise<Bodies>,
): Promise<Bodies> {
  const places = new Map<string | number, number>();
  const distinct: UserRef[] = [];
  for (const ref of refs) {
    if (places.has(cacheKeyOf(ref))) continue;
    places.set(cacheKeyOf(ref), distinct.length);
    distinct.push(ref);
  }
  const bodies = await read(distinct);
  return refs.map((ref) => bodies[places.get(cacheKeyOf(ref)) ?? -1]);
}

async function resolveOne(context: SegmentsContext, { users, segments }: ResolveAsk): Promise<Bodies> {
  if (users.length === 0) return [];
  return eachOnce(users, (distinct) =>
    segments === undefined
      ? segmentsOf(context, distinct, maxAnswerBytes)
      : withDefinitions(context.definitions, (current) => readNarrowed(context, current, distinct, segments)),
  );
}

/** Calls for all segments share a statement. If their answer would be too large, each half of them does. */
async function resolveShared(context: SegmentsContext, asks: readonly ResolveAsk[]): Promise<(Bodies | Error)[]> {
  const users = asks.flatMap((ask) => ask.users);
  try {
    const bodies = await resolveOne(context, { users, segments: undefined });
    let from = 0;
    return asks.map((ask) => {
      from += ask.users.length;
      return bodies.slice(from - ask.users.length, from);
    });
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'answer_too_large') throw error;
    if (asks.length === 1) return [error];
    const half = Math.ceil(asks.length / 2);
    return [
      ...(await settled(asks.slice(0, half), (part) => resolveShared(context, part))),
      ...(await settled(asks.slice(half), (part) => resolveShared(context, part))),
    ];
  }
}

/**
 * A failure of these calls is an answer to each of them, and not to the others of the batch; but for one after which another database
 * is asked, or which would meet the others as well.
 */
function settled(
  asks: readonly ResolveAsk[],
  resolve: (asks: readonly ResolveAsk[]) => Promise<(Bodies | Error)[]>,
): Promise<(Bodies | Error)[]> {
  return resolve(asks).catch((error: unknown) => {
    if (isReplicasFault(error)) throw error;
    const reason = error instanceof Error ? error : new Error(String(error));
    return asks.map(() => reason);
  });
}

async function apart(context: SegmentsContext, asks: readonly ResolveAsk[]): Promise<(Bodies | Error)[]> {
  const answers: (Bodies | Error)[] = [];
  for (const one of asks) {
    answers.push(...(await settled([one], async () => [await resolveOne(context, one)])));
  }
  return answers;
}

async function resolveAll(context: SegmentsContext, asks: readonly ResolveAsk[]): Promise<(Bodies | Error)[]> {
  const [whole, narrow] = [asks.filter(isWhole), asks.filter((ask) => !isWhole(ask))];
  const answers = new Map<ResolveAsk, Bodies | Error>();
  for (const [i, answer] of (await settled(whole, (asked) => resolveShared(context, asked))).entries()) {
    const ask = whole[i];
    if (ask) answers.set(ask, answer);
  }
  for (const [i, answer] of (await apart(context, narrow)).entries()) {
    const ask = narrow[i];
    if (ask) answers.set(ask, answer);
  }
  return asks.map((ask) => answers.get(ask) ?? new Error('a question without an answer'));
}

function isWhole({ segments }: ResolveAsk): boolean {
  return segments === undefined;
}

/** Users of calls that share a statement. One of a few hundred costs the database a tenth more for each (ADR 144). */
const statementUsers = 2_000;
/** A call for some segments has a statement of its own, one after another: four are as much as others should wait for. */
const narrowedSize = statementUsers / 4;

/** The number of statements is bounded, or they would take every connection. */
export function coalesceResolve(
  read: Reader<SegmentsContext>,
  observe: (callers: number, waitedMs: number) => void,
): Resolve {
  return coalesce({
    run: (asks) => read((context) => resolveAll(context, asks)),
    maxBatch: 32,
    size: { of: (ask) => (isWhole(ask) ? ask.users.length : narrowedSize), max: statementUsers },
    concurrency: 2,
    maxWaiting: 500,
    observe,
  });
}

/** The answer as pieces of JSON. @throws `answer_too_large` before any of them is built. */
export function resolvedPieces(users: readonly string[], bodies: Bodies): { pieces: Iterable<string>; bytes: number } {
  const [opening, closing] = ['{"results":[', ']}'];
  const names = users.map((user) => JSON.stringify(user));
  let bytes = opening.length + closing.length + Math.max(0, users.length - 1);
  for (const [i, name] of names.entries()) {
    bytes += '{"user":,"segments":}'.length + Buffer.byteLength(name) + segmentsIn(bodies[i]).length;
  }
  if (bytes > maxAnswerBytes) throw answerTooLarge();
  function* pieces(): Generator<string> {
    yield opening;
    for (const [i, name] of names.entries()) {
      yield `${i === 0 ? '' : ','}{"user":${name},"segments":${segmentsIn(bodies[i])}}`;
    }
    yield closing;
  }
  return { pieces: pieces(), bytes };
}

/** Only the list of `{"segments":[…]}`. */
function segmentsIn(body: SegmentsBody | undefined): string {
  return body === undefined ? 'null' : body.slice('{"segments":'.length, -1);
}
