import { type Cursors, pageOf, placeWithin } from '../../../paging/cursors.ts';
import type { Db } from '../../../postgres/database.ts';
import { ruleSource, type Source } from '../../../segmentation/decide.ts';
import { type Definition, type Definitions, isActive, isList } from '../../../segmentation/definition.ts';
import { unknownSegment } from '../../segments/segments.ts';
import { batchRows, type DecidedOptions, decidedUsers, draftId } from './decided-users.ts';
import { memberSql } from './member-rule.sql.ts';
import {
  countListMembers,
  countMembers,
  type MemberRow,
  type PageOfIds,
  pagesPlannerOff,
  selectDecided,
  selectListMembers,
  selectMembers,
} from './members-of-segment.sql.ts';
import { inOneMoment } from './one-moment.ts';
import type { ReadContext } from './with-definitions.ts';

export interface Member extends Omit<MemberRow, 'mode'> {
  readonly source: Source;
}

type Take = (batch: Member[]) => Promise<void>;

/** @throws Problem 404 */
export function find(definitions: Definitions, slug: string): Definition {
  const definition = definitions.bySlug.get(slug);
  if (!definition) throw unknownSegment(slug);
  return definition;
}

function withSource(definition: Definition, rows: readonly MemberRow[]): Member[] {
  return rows.map(({ mode, ...row }) => ({ ...row, source: mode ?? ruleSource(definition) }));
}

/** Reads a page in SQL; undefined where SQL cannot express who is in. */
function pagesInSql(
  definitions: Definitions,
  definition: Definition,
  now: number,
): ((tx: Db, page: PageOfIds) => Promise<MemberRow[]>) | undefined {
  if (!isActive(definition, now)) return async () => [];
  if (isList(definition)) return (tx, page) => selectListMembers(tx, definition.id, page);
  const member = memberSql(definitions, definition, now);
  return member && ((tx, page) => selectMembers(tx, definition.id, member, page));
}

async function decidedPage(
  tx: Db,
  definitions: Definitions,
  definition: Definition,
  { after, limit }: PageOfIds,
  options: DecidedOptions,
): Promise<MemberRow[]> {
  const ids: number[] = [];
  for await (const { members } of decidedUsers(tx, definitions, definition, { ...options, from: after })) {
    ids.push(...members);
    if (ids.length >= limit) break;
  }
  return selectDecided(tx, definition.id, ids.slice(0, limit));
}

/** Everyone in a segment now, by whatever path, a page at a time. */
export async function membersPage(
  context: ReadContext & { readonly cursors: Cursors },
  slug: string,
  { limit = 100, cursor }: { limit?: number; cursor?: string },
): Promise<{ users: Member[]; next_cursor: string | null }> {
  const { cursors } = context;
  const decoded = cursor === undefined ? undefined : cursors.decode('members', cursor);
  return inOneMoment(
    context,
    async (tx, definitions, now, until) => {
      const definition = find(definitions, slug);
      const [place] = placeWithin(definition.id, decoded) ?? [0];
      const page = { after: Number(place), limit: limit + 1 };
      const inSql = pagesInSql(definitions, definition, now);
      const found = await (inSql ? inSql(tx, page) : decidedPage(tx, definitions, definition, page, { now, until }));
      const { rows, next_cursor } = pageOf(withSource(definition, found), limit, (last) =>
        cursors.encode('members', [definition.id, last.id]),
      );
      return { users: rows, next_cursor };
    },
    pagesPlannerOff,
  );
}

export async function countOfMembers(context: ReadContext, slug: string): Promise<number> {
  return inOneMoment(context, (tx, definitions, now, until) =>
    countOf(tx, definitions, find(definitions, slug), { now, until }),
  );
}

export async function countOf(
  tx: Db,
  definitions: Definitions,
  definition: Definition,
  options: DecidedOptions,
): Promise<number> {
  const { now } = options;
  if (!isActive(definition, now)) return 0;
  if (isList(definition)) return countListMembers(tx, definition.id);
  const member = memberSql(definitions, definition, now);
  if (member) return countMembers(tx, definition.id, member);
  let count = 0;
  const decided = decidedUsers(tx, definitions, definition, options);
  for await (const { members } of decided) count += members.length;
  return count;
}

async function eachOf(
  tx: Db,
  definitions: Definitions,
  definition: Definition,
  now: number,
  take: Take,
): Promise<void> {
  const inSql = pagesInSql(definitions, definition, now);
  if (!inSql) {
    for await (const { members } of decidedUsers(tx, definitions, definition, {
      now,
      until: Number.POSITIVE_INFINITY,
    })) {
      await take(withSource(definition, await selectDecided(tx, definition.id, members)));
    }
    return;
  }
  for (let after = 0; ; ) {
    const batch = await inSql(tx, { after, limit: batchRows });
    await take(withSource(definition, batch));
    if (batch.length < batchRows) return;
    after = batch.at(-1)?.id ?? after;
  }
}

/** Everyone in a segment as of one moment, ordered by id. `take` gets batch after batch; the last one may be empty. */
export function eachMember(context: ReadContext, slug: string, take: Take): Promise<void> {
  return inOneMoment(
    context,
    (tx, definitions, now) => eachOf(tx, definitions, find(definitions, slug), now, take),
    pagesPlannerOff,
  );
}

/** Likewise everyone whom percentage and condition let in, whatever overrides of this segment say. */
export function eachLetIn(context: ReadContext, segmentId: number, take: Take): Promise<void> {
  return inOneMoment(
    context,
    async (tx, definitions, now) => {
      const definition = definitions.byId.get(segmentId);
      // Under the id of a draft it has no overrides.
      if (definition) await eachOf(tx, definitions, { ...definition, id: draftId }, now, take);
    },
    pagesPlannerOff,
  );
}
