import { Problem } from '@kohort/contract';
import { type Cursors, pageOf, placeWithin } from '../../../paging/cursors.ts';
import type { Database, Db } from '../../../postgres/database.ts';
import type { PlannerFeature } from '../../../postgres/transaction.ts';
import type { JsonObject } from '../../../segmentation/conditions/json.ts';
import { fieldsOf } from '../../../segmentation/conditions/references.ts';
import { deciderOf, keyOf, readOverrides, ruleSource, type Source } from '../../../segmentation/decide.ts';
import {
  compileDefinition,
  type Definition,
  type Definitions,
  inOrder,
  isList,
} from '../../../segmentation/definition.ts';
import type { DefinitionCache } from '../../segments/definitions.ts';
import { unknownSegment } from '../../segments/segments.ts';
import {
  countListMembers,
  countMatches,
  countMembers,
  type MemberRow,
  memberSql,
  type Needed,
  type PageOfIds,
  pagesPlannerOff,
  type SampleRow,
  sampleMatches,
  selectDecided,
  selectListMembers,
  selectMembers,
  selectRevision,
  selectSample,
  selectUsersToDecide,
  type UserToDecide,
} from './members-of-segment.sql.ts';

export interface Member extends Omit<MemberRow, 'mode'> {
  readonly source: Source;
}

export interface Preview {
  readonly count: number;
  readonly total: number;
  readonly sample: readonly SampleRow[];
}

export interface Members {
  page(
    slug: string,
    page: { limit?: number; cursor?: string },
  ): Promise<{ users: Member[]; next_cursor: string | null }>;
  count(slug: string): Promise<number>;
  /** Everyone in it, as of one moment, ordered by id. `take` is given batch after batch, the last one maybe empty. */
  each(slug: string, take: (batch: Member[]) => Promise<void>): Promise<void>;
  /** Likewise whom percentage and condition let in, whatever overrides of this very segment say. */
  eachLetIn(segmentId: number, take: (batch: Member[]) => Promise<void>): Promise<void>;
  preview(rule: { percentage: number | null; condition: JsonObject | null }): Promise<Preview>;
}

const MAX_READS = 10;
const SAMPLE = 10;
/** Users at a time: to go through so many takes a few milliseconds, in which nobody else is served. */
const BATCH = 1_000;
/** Attributes that are read one by one; where a condition looks at more, all are read. */
const MAX_FIELDS = 8;
/** Milliseconds until a set question is given up with 503 rather than holding the database. */
const SET_TIMEOUT = 15_000;
/** No segment has this id: a draft has no overrides. The salt is the draft's own, since the saved one draws another. */
const DRAFT = { id: 0, slug: 'preview', salt: 'preview' };

function tooManyUsers(): Problem {
  return new Problem('overloaded', 'There are too many users to put this condition to in time.', { retryAfter: 10 });
}

export function createMembers({
  db,
  cursors,
  definitions,
}: {
  db: Database;
  cursors: Cursors;
  definitions: DefinitionCache;
}): Members {
  /**
   * One moment for all statements, and the definitions of that very moment: where memory does not hold those, it is brought
   * up and the work begun again. With a bound on each statement.
   */
  async function inOneMoment<T>(
    work: (tx: Db, held: Definitions) => Promise<T>,
    plannerOff: readonly PlannerFeature[] = ['jit'],
  ): Promise<T> {
    for (let attempt = 1; attempt <= MAX_READS; attempt++) {
      const held = definitions.current();
      const seen = await db.transaction(
        async (tx) => {
          const revision = await selectRevision(tx);
          return revision === held.revision ? { answer: await work(tx, held) } : { revision };
        },
        { isolation: 'repeatable read', readOnly: true, statementTimeout: SET_TIMEOUT, plannerOff },
      );
      if ('answer' in seen) return seen.answer;
      await definitions.at(seen.revision);
    }
    throw new Problem('overloaded', 'The definitions of segments keep changing. Try again shortly.', { retryAfter: 1 });
  }

  function find(held: Definitions, slug: string): Definition {
    const definition = held.bySlug.get(slug);
    if (!definition) throw unknownSegment(slug);
    return definition;
  }

  /**
   * For conditions that SQL cannot say exactly: every user past an id in turn, decided in process, while the next ones are
   * being read. A batch at a time; `bounded` gives up when that goes on for too long.
   */
  async function* decided(
    tx: Db,
    held: Definitions,
    definition: Definition,
    { from = 0, bounded }: { from?: number; bounded: boolean },
  ): AsyncGenerator<{ members: number[]; of: number }, void, undefined> {
    const decide = deciderOf(held, definition);
    const needed = neededFor(held, definition);
    const fetch = (after: number) => selectUsersToDecide(tx, needed, { after, limit: BATCH });
    const end = performance.now() + SET_TIMEOUT;
    let next: Promise<UserToDecide[]> | undefined = fetch(from);
    try {
      while (next) {
        if (bounded && performance.now() > end) throw tooManyUsers();
        const users: UserToDecide[] = await next;
        const last = users.at(-1);
        next = users.length === BATCH && last ? fetch(last.id) : undefined;
        // It is heard of when its turn comes.
        next?.catch(() => undefined);
        const members = users.filter(
          ({ overrides, ...user }) =>
            decide({ key: keyOf(user), attributes: user.attributes, overrides: readOverrides(overrides) }).member,
        );
        yield { members: members.map(({ id }) => id), of: users.length };
      }
    } finally {
      // Nothing of the transaction may be under way when it ends.
      await next?.catch(() => undefined);
    }
  }

  async function decidedPage(
    tx: Db,
    held: Definitions,
    definition: Definition,
    { after, limit }: PageOfIds,
  ): Promise<MemberRow[]> {
    const ids: number[] = [];
    for await (const { members } of decided(tx, held, definition, { from: after, bounded: true })) {
      ids.push(...members);
      if (ids.length >= limit) break;
    }
    return selectDecided(tx, definition.id, ids.slice(0, limit));
  }

  function withSource(definition: Definition, rows: readonly MemberRow[]): Member[] {
    return rows.map(({ mode, ...row }) => ({ ...row, source: mode ?? ruleSource(definition) }));
  }

  /** How a page is read in SQL; undefined where SQL cannot say who is in. */
  function pagesInSql(
    held: Definitions,
    definition: Definition,
  ): ((tx: Db, page: PageOfIds) => Promise<MemberRow[]>) | undefined {
    if (isList(definition)) return (tx, page) => selectListMembers(tx, definition.id, page);
    const member = memberSql(held, definition);
    return member && ((tx, page) => selectMembers(tx, definition.id, member, page));
  }

  async function eachOf(
    tx: Db,
    held: Definitions,
    definition: Definition,
    take: (batch: Member[]) => Promise<void>,
  ): Promise<void> {
    const inSql = pagesInSql(held, definition);
    if (!inSql) {
      for await (const { members } of decided(tx, held, definition, { bounded: false })) {
        await take(withSource(definition, await selectDecided(tx, definition.id, members)));
      }
      return;
    }
    for (let after = 0; ; ) {
      const batch = await inSql(tx, { after, limit: BATCH });
      await take(withSource(definition, batch));
      if (batch.length < BATCH) return;
      after = batch.at(-1)?.id ?? after;
    }
  }

  return {
    each(slug, take) {
      return inOneMoment((tx, held) => eachOf(tx, held, find(held, slug), take), pagesPlannerOff);
    },

    eachLetIn(segmentId, take) {
      return inOneMoment(async (tx, held) => {
        const definition = held.byId.get(segmentId);
        // Under the number of a draft it has no overrides.
        if (definition) await eachOf(tx, held, { ...definition, id: DRAFT.id }, take);
      }, pagesPlannerOff);
    },

    async page(slug, { limit = 100, cursor }) {
      const decoded = cursor === undefined ? undefined : cursors.decode('members', cursor);
      return inOneMoment(async (tx, held) => {
        const definition = find(held, slug);
        const [place] = placeWithin(definition.id, decoded) ?? [0];
        const page = { after: Number(place), limit: limit + 1 };
        const inSql = pagesInSql(held, definition);
        const found = await (inSql ? inSql(tx, page) : decidedPage(tx, held, definition, page));
        const { rows, next_cursor } = pageOf(withSource(definition, found), limit, (last) =>
          cursors.encode('members', [definition.id, last.id]),
        );
        return { users: rows, next_cursor };
      }, pagesPlannerOff);
    },

    count(slug) {
      return inOneMoment(async (tx, held) => {
        const definition = find(held, slug);
        if (isList(definition)) return countListMembers(tx, definition.id);
        const member = memberSql(held, definition);
        if (member) return countMembers(tx, definition.id, member);
        let count = 0;
        for await (const { members } of decided(tx, held, definition, { bounded: true })) count += members.length;
        return count;
      });
    },

    async preview(rule) {
      const draft = compileDefinition({ ...DRAFT, ...rule });
      return inOneMoment(async (tx, held) => {
        const member = memberSql(held, draft);
        if (member) {
          const counted = await countMatches(tx, member);
          // Where nobody matches, looking for a few would go through everybody again.
          return { ...counted, sample: counted.count === 0 ? [] : await sampleMatches(tx, member, SAMPLE) };
        }
        let [count, total] = [0, 0];
        const shown: number[] = [];
        for await (const { members, of } of decided(tx, held, draft, { bounded: true })) {
          total += of;
          count += members.length;
          shown.push(...members.slice(0, SAMPLE - shown.length));
        }
        return { count, total, sample: await selectSample(tx, shown) };
      });
    },
  };
}

/** A draft on its own has no overrides to be looked for. */
function neededFor(held: Definitions, definition: Definition): Needed {
  const involved = inOrder(held.byId, [definition]);
  const fields = new Set(involved.flatMap(({ condition }) => (condition ? [...fieldsOf(condition)] : [])));
  return {
    segmentIds: involved.map(({ id }) => id).filter((id) => id !== DRAFT.id),
    fields: fields.size <= MAX_FIELDS ? [...fields] : undefined,
  };
}
