import { Problem, type UserRef } from '@kohort/contract';
import { type Coalesced, coalesce } from '../../../postgres/batch.ts';
import type { Db } from '../../../postgres/database.ts';
import { decideAll, keyOf, readOverrides } from '../../../segmentation/decide.ts';
import type { Definitions } from '../../../segmentation/definition.ts';
import type { DefinitionCache } from '../../segments/definitions.ts';
import { Memory } from './answer-cache.ts';
import { type Found, selectLists, selectSubjects } from './segments-of-user.sql.ts';

/**
 * The segments of a user as the body that answers the fast call, `{"segments":["A","B"]}`, sorted: a text of its own is half of
 * what it takes to remember it as a list, and a list is quickly made of it.
 */
export type SegmentsBody = string;

const OPENING = '{"segments":["';
const CLOSING = '"]}';
const NONE = '{"segments":[]}';

function bodyOf(slugs: readonly string[]): SegmentsBody {
  return slugs.length === 0 ? NONE : JSON.stringify({ segments: slugs.toSorted() });
}

/** No slug holds anything that JSON would escape. */
export function slugsOf(body: SegmentsBody): string[] {
  return body === NONE ? [] : body.slice(OPENING.length, -CLOSING.length).split('","');
}

export interface Answers {
  /** Undefined for an unknown user. */
  segmentsOf: Coalesced<UserRef, SegmentsBody | undefined>;
  /** Of many, in the order asked: those of one call always in one statement. */
  segmentsOfMany: Coalesced<readonly UserRef[], (SegmentsBody | undefined)[]>;
}

const MAX_READS = 10;
/** Bytes, twice: some hundred thousand users who are in twenty segments each, some thousand who are in a thousand. */
const REMEMBERED = 64 * 1024 * 1024;
/** What an entry costs besides its texts, roughly. */
const ENTRY = 150;

interface RememberedUser {
  readonly id: number;
  readonly version: number;
  readonly overrides: string;
  readonly body: SegmentsBody;
}

/** What was worked out under one revision of the definitions. With the next one it is forgotten, whole. */
interface Worked {
  readonly definitions: Definitions;
  /** Where all segments are lists, the overrides decide alone. */
  readonly byOverrides: Memory<string, SegmentsBody>;
  /** Otherwise key and attributes have a say; both are fixed by id and version. */
  readonly byUser: Memory<string | number, RememberedUser>;
}

/** A text of ASCII takes a byte a character, as ours nearly always are. */
function sizeOf(overrides: string, body: SegmentsBody): number {
  return ENTRY + overrides.length + body.length;
}

function nameOf(ref: UserRef): string | number {
  return ref.id ?? `ext:${ref.externalId}`;
}

/**
 * The fast path: which segments is a user in. Every answer rests on a statement that began after the call came in; what is
 * remembered is only the work of turning its result into an answer, a pure function of what the statement returned.
 */
export function createAnswers({
  db,
  definitions,
  observe,
}: {
  db: Db;
  definitions: DefinitionCache;
  observe: Readonly<Record<'one' | 'many', (callers: number, waitedMs: number) => void>>;
}): Answers {
  let worked = workedUnder(definitions.current());

  function workedUnder(current: Definitions): Worked {
    return {
      definitions: current,
      byOverrides: new Memory(REMEMBERED, sizeOf),
      byUser: new Memory(REMEMBERED, (_, { overrides, body }) => sizeOf(overrides, body)),
    };
  }

  function fromLists({ definitions: held, byOverrides }: Worked, { overrides }: Found): SegmentsBody {
    const remembered = byOverrides.get(overrides);
    if (remembered) return remembered;
    const slugs: string[] = [];
    for (const [id, mode] of readOverrides(overrides)) {
      const definition = held.byId.get(id);
      if (definition && mode === 'include') slugs.push(definition.slug);
    }
    const body = bodyOf(slugs);
    byOverrides.set(overrides, body);
    return body;
  }

  /** Undefined when what was remembered does not serve and the statement left out what it takes to work anew. */
  function fromSubject(
    { definitions: held, byUser }: Worked,
    ref: UserRef,
    known: RememberedUser | undefined,
    { overrides, subject }: Found,
  ): SegmentsBody | undefined {
    if (!subject) return known?.overrides === overrides ? known.body : undefined;
    const { id, version, attributes } = subject;
    const decided = decideAll(held, { key: keyOf(subject), attributes, overrides: readOverrides(overrides) });
    const body = bodyOf(decided.map(({ definition }) => definition.slug));
    byUser.set(nameOf(ref), { id, version, overrides, body });
    return body;
  }

  async function read(refs: readonly UserRef[]): Promise<(SegmentsBody | undefined)[]> {
    if (refs.length === 0) return [];
    let remember = true;
    for (let attempt = 1; attempt <= MAX_READS; attempt++) {
      if (worked.definitions !== definitions.current()) worked = workedUnder(definitions.current());
      const under = worked;
      const isDynamic = under.definitions.dynamic.length > 0;
      const known = refs.map((ref) => (isDynamic && remember ? under.byUser.get(nameOf(ref)) : undefined));
      const select = isDynamic ? selectSubjects : selectLists;
      const { revision, users } = await select(
        db,
        refs.map((ref, i) => ({ ref, known: known[i] })),
      );
      if (revision !== under.definitions.revision) {
        await definitions.at(revision);
        continue;
      }
      let complete = true;
      const bodies = users.map((found, i) => {
        const ref = refs[i];
        if (!found || !ref) return undefined;
        const body = isDynamic ? fromSubject(under, ref, known[i], found) : fromLists(under, found);
        if (body === undefined) complete = false;
        return body;
      });
      if (complete) return bodies;
      // Somebody's overrides changed since they were remembered: once more, and this time with everything.
      remember = false;
    }
    throw new Problem('overloaded', 'The definitions of segments keep changing. Try again shortly.', { retryAfter: 1 });
  }

  async function readMany(asks: readonly (readonly UserRef[])[]): Promise<(SegmentsBody | undefined)[][]> {
    const bodies = await read(asks.flat());
    let from = 0;
    return asks.map((refs) => {
      from += refs.length;
      return bodies.slice(from - refs.length, from);
    });
  }

  return {
    segmentsOf: coalesce({ run: read, maxBatch: 256, concurrency: 3, maxWaiting: 10_000, observe: observe.one }),
    // So large that few share a statement; bounded all the same, or they would take all connections from everybody.
    segmentsOfMany: coalesce({ run: readMany, maxBatch: 4, concurrency: 2, maxWaiting: 500, observe: observe.many }),
  };
}
