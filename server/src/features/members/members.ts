import { Problem } from '@kohort/contract';
import { type Cursors, pageOf } from '../../http/cursor.ts';
import type { Database, Db } from '../../postgres/database.ts';
import type { JsonObject } from '../conditions/json.ts';
import { decideOne, keyOf, ruleSource, type Source } from '../memberships/decide.ts';
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
  type SampleRow,
  type StreamRow,
  sampleMatches,
  selectListMembers,
  selectMembers,
  selectUsersToDecide,
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
  preview(rule: { percentage: number | null; condition: JsonObject | null }): Promise<Preview>;
}

const SAMPLE = 10;
const STREAM_BATCH = 5_000;
/** Milliseconds until a set question is given up with 503 rather than holding the database. */
const SET_TIMEOUT = 15_000;
/** No segment has this id: a draft has no overrides. The salt is the draft's own, since the saved one draws another. */
const DRAFT = { id: 0, slug: 'preview', salt: 'preview' };

interface Decided {
  readonly row: StreamRow;
  readonly source: Source;
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
  async function find(slug: string): Promise<{ held: Definitions; definition: Definition }> {
    const held = await definitions.fresh();
    const definition = held.bySlug.get(slug);
    if (!definition) throw unknownSegment(slug);
    return { held, definition };
  }

  /** One moment for all statements, a bound on each, and none of the just-in-time compilation that costs more than it saves. */
  function inOneMoment<T>(work: (tx: Db) => Promise<T>): Promise<T> {
    return db.transaction(work, {
      isolation: 'repeatable read',
      readOnly: true,
      statementTimeout: SET_TIMEOUT,
      jit: false,
    });
  }

  /** For conditions that SQL cannot say exactly: every user in turn, decided in process. Calls `visit` until it says no. */
  async function stream(
    tx: Db,
    held: Definitions,
    definition: Definition,
    from: number,
    visit: (decided: Decided | undefined) => boolean,
  ): Promise<void> {
    const ids = inOrder(held.byId, [definition]).map(({ id }) => id);
    const deadline = performance.now() + SET_TIMEOUT;
    for (let after = from; ; ) {
      const rows = await selectUsersToDecide(tx, ids, { after, limit: STREAM_BATCH });
      for (const row of rows) {
        const { member, source } = decideOne(held, definition, {
          key: keyOf(row),
          attributes: row.attributes,
          overrides: new Map(row.overrides.map(({ segment_id, mode }) => [segment_id, mode])),
        });
        if (!visit(member ? { row, source } : undefined)) return;
      }
      const last = rows.at(-1);
      if (rows.length < STREAM_BATCH || !last) return;
      if (performance.now() > deadline) {
        throw new Problem('overloaded', 'There are too many users to put this condition to in time.', {
          retryAfter: 10,
        });
      }
      after = last.id;
    }
  }

  async function streamPage(
    tx: Db,
    held: Definitions,
    definition: Definition,
    after: number,
    limit: number,
  ): Promise<Member[]> {
    const found: Member[] = [];
    await stream(tx, held, definition, after, (decided) => {
      if (decided) {
        const { id, external_id, name, overrides } = decided.row;
        const override = overrides.find(({ segment_id }) => segment_id === definition.id);
        found.push({
          id,
          external_id,
          name,
          source: decided.source,
          since: override ? new Date(override.since) : null,
          expires_at: override?.expires_at ? new Date(override.expires_at) : null,
        });
      }
      return found.length < limit;
    });
    return found;
  }

  return {
    async page(slug, { limit = 100, cursor }) {
      const { held, definition } = await find(slug);
      const list = `members:${definition.id}`;
      const [place] = cursor === undefined ? [0] : cursors.decode(list, cursor);
      const page = { after: Number(place), limit: limit + 1 };
      const withSource = ({ mode, ...row }: MemberRow): Member => ({ ...row, source: mode ?? ruleSource(definition) });
      const found = await inOneMoment(async (tx) => {
        if (isList(definition)) return (await selectListMembers(tx, definition.id, page)).map(withSource);
        const member = memberSql(held, definition);
        if (member) return (await selectMembers(tx, definition.id, member, page)).map(withSource);
        return streamPage(tx, held, definition, page.after, page.limit);
      });
      const { rows, next_cursor } = pageOf(found, limit, (last) => cursors.encode(list, [last.id]));
      return { users: rows, next_cursor };
    },

    async count(slug) {
      const { held, definition } = await find(slug);
      return inOneMoment(async (tx) => {
        if (isList(definition)) return countListMembers(tx, definition.id);
        const member = memberSql(held, definition);
        if (member) return countMembers(tx, definition.id, member);
        let count = 0;
        await stream(tx, held, definition, 0, (decided) => {
          if (decided) count++;
          return true;
        });
        return count;
      });
    },

    async preview(rule) {
      const held = await definitions.fresh();
      const definition = compileDefinition({ ...DRAFT, ...rule });
      const member = memberSql(held, definition);
      if (member) {
        const [counted, sample] = await Promise.all([
          inOneMoment((tx) => countMatches(tx, member)),
          inOneMoment((tx) => sampleMatches(tx, member, SAMPLE)),
        ]);
        return { ...counted, sample };
      }
      return inOneMoment(async (tx) => {
        let [count, total] = [0, 0];
        const sample: SampleRow[] = [];
        await stream(tx, held, definition, 0, (decided) => {
          total++;
          if (decided) {
            count++;
            if (sample.length < SAMPLE) sample.push(decided.row);
          }
          return true;
        });
        return { count, total, sample };
      });
    },
  };
}
