import { Problem } from '@kohort/contract';
import { type Cursors, pageOf, placeWithin } from '../../http/cursor.ts';
import type { Database, Db } from '../../postgres/database.ts';
import type { JsonObject } from '../conditions/json.ts';
import { fieldsOf } from '../conditions/segments.ts';
import { deciderOf, keyOf, readOverrides, ruleSource, type Source } from '../memberships/decide.ts';
import {
  compileDefinition,
  type Definition,
  type DefinitionCache,
  type Definitions,
  inOrder,
  isList,
} from '../segments/definitions.ts';
import { unknownSegment } from '../segments/segments.ts';
import {
  countListMembers,
  countMatches,
  countMembers,
  type MemberRow,
  memberSql,
  type Needed,
  type PageOfIds,
  pagesWithout,
  type SampleRow,
  sampleMatches,
  selectDecided,
  selectListMembers,
  selectMembers,
  selectRevision,
  selectSample,
  selectUsersToDecide,
  type UserToDecide,
} from './members.sql.ts';

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
const STREAM_BATCH = 5_000;
/** Of those who are handed on. To read a batch and write it out takes a few milliseconds, in which nobody else is served. */
const EACH_BATCH = 1_000;
/** Attributes that are read one by one; where a condition looks at more, all are read. */
const MAX_FIELDS = 8;
/** Milliseconds until a set question is given up with 503 rather than holding the database. */
const SET_TIMEOUT = 15_000;
/** No segment has this id: a draft has no overrides. The salt is the draft's own, since the saved one draws another. */
const DRAFT = { id: 0, slug: 'preview', salt: 'preview' };

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
  async function inOneMoment<T>(work: (tx: Db, held: Definitions) => Promise<T>): Promise<T> {
    for (let attempt = 1; attempt <= MAX_READS; attempt++) {
      const held = definitions.current();
      const seen = await db.transaction(
        async (tx) => {
          const revision = await selectRevision(tx);
          return revision === held.revision ? { answer: await work(tx, held) } : { revision };
        },
        { isolation: 'repeatable read', readOnly: true, statementTimeout: SET_TIMEOUT, without: pagesWithout },
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
   * For conditions that SQL cannot say exactly: every user in turn, decided in process, while the next ones are being read.
   * Calls `visit` with each until it says no.
   */
  async function stream(
    tx: Db,
    held: Definitions,
    definition: Definition,
    from: number,
    visit: (id: number, isMember: boolean) => boolean,
  ): Promise<void> {
    const decide = deciderOf(held, definition);
    const needed = neededFor(held, definition);
    const fetch = (after: number) => selectUsersToDecide(tx, needed, { after, limit: STREAM_BATCH });
    const deadline = performance.now() + SET_TIMEOUT;
    for (let next: Promise<UserToDecide[]> | undefined = fetch(from); next; ) {
      const users: UserToDecide[] = await next;
      const last = users.at(-1);
      next = users.length === STREAM_BATCH && last ? fetch(last.id) : undefined;
      for (const user of users) {
        const { member } = decide({
          key: keyOf(user),
          attributes: user.attributes,
          overrides: readOverrides(user.overrides),
        });
        if (!visit(user.id, member)) {
          await next;
          return;
        }
      }
      if (next && performance.now() > deadline) {
        await next;
        throw new Problem('overloaded', 'There are too many users to put this condition to in time.', {
          retryAfter: 10,
        });
      }
    }
  }

  async function streamPage(
    tx: Db,
    held: Definitions,
    definition: Definition,
    { after, limit }: PageOfIds,
  ): Promise<MemberRow[]> {
    const ids: number[] = [];
    await stream(tx, held, definition, after, (id, isMember) => {
      if (isMember) ids.push(id);
      return ids.length < limit;
    });
    return selectDecided(tx, definition.id, ids);
  }

  async function pageOfMembers(tx: Db, held: Definitions, definition: Definition, page: PageOfIds): Promise<Member[]> {
    const withSource = ({ mode, ...row }: MemberRow): Member => ({ ...row, source: mode ?? ruleSource(definition) });
    if (isList(definition)) return (await selectListMembers(tx, definition.id, page)).map(withSource);
    const member = memberSql(held, definition);
    if (member) return (await selectMembers(tx, definition.id, member, page)).map(withSource);
    return (await streamPage(tx, held, definition, page)).map(withSource);
  }

  async function eachOf(
    tx: Db,
    held: Definitions,
    definition: Definition,
    take: (batch: Member[]) => Promise<void>,
  ): Promise<void> {
    for (let after = 0; ; ) {
      const batch = await pageOfMembers(tx, held, definition, { after, limit: EACH_BATCH });
      await take(batch);
      if (batch.length < EACH_BATCH) return;
      after = batch.at(-1)?.id ?? after;
    }
  }

  return {
    each(slug, take) {
      return inOneMoment((tx, held) => eachOf(tx, held, find(held, slug), take));
    },

    eachLetIn(segmentId, take) {
      return inOneMoment(async (tx, held) => {
        const definition = held.byId.get(segmentId);
        // Under the number of a draft it has no overrides.
        if (definition) await eachOf(tx, held, { ...definition, id: DRAFT.id }, take);
      });
    },

    async page(slug, { limit = 100, cursor }) {
      const decoded = cursor === undefined ? undefined : cursors.decode('members', cursor);
      return inOneMoment(async (tx, held) => {
        const definition = find(held, slug);
        const [place] = placeWithin(definition.id, decoded) ?? [0];
        const found = await pageOfMembers(tx, held, definition, { after: Number(place), limit: limit + 1 });
        const { rows, next_cursor } = pageOf(found, limit, (last) =>
          cursors.encode('members', [definition.id, last.id]),
        );
        return { users: rows, next_cursor };
      });
    },

    count(slug) {
      return inOneMoment(async (tx, held) => {
        const definition = find(held, slug);
        if (isList(definition)) return countListMembers(tx, definition.id);
        const member = memberSql(held, definition);
        if (member) return countMembers(tx, definition.id, member);
        let count = 0;
        await stream(tx, held, definition, 0, (_, isMember) => {
          if (isMember) count++;
          return true;
        });
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
        await stream(tx, held, draft, 0, (id, isMember) => {
          total++;
          if (isMember && ++count <= SAMPLE) shown.push(id);
          return true;
        });
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
