import { Problem, type UserRef } from '@kohort/contract';
import { type Coalesced, coalesce } from '../../postgres/coalesce.ts';
import type { Db } from '../../postgres/database.ts';
import type { DefinitionCache, Definitions } from '../segments/definitions.ts';
import { type Found, selectLists, selectSubjects } from './answers.sql.ts';
import { decideAll, keyOf, readOverrides } from './decide.ts';
import { Memory } from './memory.ts';

/** The segments of a user: as a list, and as the body that answers the hot call. */
export interface SegmentList {
  readonly slugs: readonly string[];
  readonly json: string;
}

export interface Answers {
  /** Undefined for an unknown user. */
  segmentsOf: Coalesced<UserRef, SegmentList | undefined>;
  /** Of many, in the order asked: those of one call always in one statement. */
  segmentsOfMany: Coalesced<readonly UserRef[], (SegmentList | undefined)[]>;
}

const MAX_READS = 10;
/** Bytes, twice: some hundred thousand users who are in ten segments each, some thousand who are in a thousand. */
const REMEMBERED = 32 * 1024 * 1024;
/** What an entry costs besides its texts, roughly; and a slug, of which only a pointer is its own. */
const ENTRY = 200;
const SLUG = 8;

interface RememberedUser {
  readonly id: number;
  readonly version: number;
  readonly overrides: string;
  readonly segments: SegmentList;
}

/** What was worked out under one revision of the definitions. With the next one it is forgotten, whole. */
interface Worked {
  readonly definitions: Definitions;
  /** Where all segments are lists, the overrides decide alone. */
  readonly byOverrides: Memory<string, SegmentList>;
  /** Otherwise key and attributes have a say; both are fixed by id and version. */
  readonly byUser: Memory<string | number, RememberedUser>;
}

function listOf(slugs: string[]): SegmentList {
  slugs.sort();
  return { slugs, json: JSON.stringify({ segments: slugs }) };
}

/** A text of ASCII takes a byte a character, as ours nearly always are. */
function sizeOf(overrides: string, { slugs, json }: SegmentList): number {
  return ENTRY + overrides.length + json.length + SLUG * slugs.length;
}

function nameOf(ref: UserRef): string | number {
  return ref.id ?? `ext:${ref.externalId}`;
}

/**
 * The hot path: which segments is a user in. Every answer rests on a statement that began after the call came in; what is
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
      byUser: new Memory(REMEMBERED, (_, { overrides, segments }) => sizeOf(overrides, segments)),
    };
  }

  function fromLists({ definitions: held, byOverrides }: Worked, { overrides }: Found): SegmentList {
    const remembered = byOverrides.get(overrides);
    if (remembered) return remembered;
    const slugs: string[] = [];
    for (const [id, mode] of readOverrides(overrides)) {
      const definition = held.byId.get(id);
      if (definition && mode === 'include') slugs.push(definition.slug);
    }
    const list = listOf(slugs);
    byOverrides.set(overrides, list);
    return list;
  }

  /** Undefined when what was remembered does not serve and the statement left out what it takes to work anew. */
  function fromSubject(
    { definitions: held, byUser }: Worked,
    ref: UserRef,
    known: RememberedUser | undefined,
    { overrides, subject }: Found,
  ): SegmentList | undefined {
    if (!subject) return known?.overrides === overrides ? known.segments : undefined;
    const { id, version, attributes } = subject;
    const decided = decideAll(held, { key: keyOf(subject), attributes, overrides: readOverrides(overrides) });
    const segments = listOf(decided.map(({ definition }) => definition.slug));
    byUser.set(nameOf(ref), { id, version, overrides, segments });
    return segments;
  }

  async function read(refs: readonly UserRef[]): Promise<(SegmentList | undefined)[]> {
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
      const lists = users.map((found, i) => {
        const ref = refs[i];
        if (!found || !ref) return undefined;
        const list = isDynamic ? fromSubject(under, ref, known[i], found) : fromLists(under, found);
        if (!list) complete = false;
        return list;
      });
      if (complete) return lists;
      // Somebody's overrides changed since they were remembered: once more, and this time with everything.
      remember = false;
    }
    throw new Problem('overloaded', 'The definitions of segments keep changing. Try again shortly.', { retryAfter: 1 });
  }

  async function readMany(asks: readonly (readonly UserRef[])[]): Promise<(SegmentList | undefined)[][]> {
    const lists = await read(asks.flat());
    let from = 0;
    return asks.map((refs) => {
      from += refs.length;
      return lists.slice(from - refs.length, from);
    });
  }

  return {
    segmentsOf: coalesce({ run: read, maxBatch: 256, concurrency: 3, maxWaiting: 10_000, observe: observe.one }),
    // So large that few share a statement; bounded all the same, or they would take all connections from everybody.
    segmentsOfMany: coalesce({ run: readMany, maxBatch: 4, concurrency: 2, maxWaiting: 500, observe: observe.many }),
  };
}
