import { type Cursors, pageOf, placeWithin } from '../../../paging/cursors.ts';
import type { Db } from '../../../postgres/database.ts';
import { type Definition, isActive, isList } from '../../../segmentation/definition.ts';
import type { Definitions } from '../../../segmentation/definitions.ts';
import { ruleSource, type Source } from '../../../segmentation/membership.ts';
import { unknownSegment } from '../../segments/segments.ts';
import { batchRows, type DecidedOptions, decidedUsers, draftId } from './decided-users.ts';
import { type MemberSql, memberSql } from './member-rule.sql.ts';
import {
  allowBitmapScans,
  countListMembers,
  countMembers,
  type MemberRow,
  pagesPlannerOff,
  selectDecided,
  selectLetIn,
  selectListMembers,
} from './members-of-segment.sql.ts';
import { keepSnapshots } from './one-moment.sql.ts';
import { inOneMoment, type Moment } from './one-moment.ts';
import type { PageOfIds } from './page-of-overrides.sql.ts';
import { slicesOf } from './slices.ts';
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

/** Reads a page in SQL; undefined if SQL cannot express the rule. */
function pagesInSql(
  tx: Db,
  definitions: Definitions,
  definition: Definition,
  moment: Moment,
): ((page: PageOfIds) => Promise<MemberRow[]>) | undefined {
  const { now } = moment;
  if (!isActive(definition, now)) return async () => [];
  if (isList(definition)) return (page) => selectListMembers(tx, definition.id, { ...page, now });
  const member = memberSql(definitions, definition, { now, isDistributed: tx.isDistributed });
  return member && ((page) => rulePage(tx, definition, member, page, moment));
}

/** The included first, who are found by index: with a whole page of them, only users before the last one matter. */
export async function rulePage(
  tx: Db,
  { id }: Definition,
  member: MemberSql,
  { after, limit }: PageOfIds,
  moment: Moment,
): Promise<MemberRow[]> {
  const { now } = moment;
  const included = await selectListMembers(tx, id, { after, limit, now });
  const end = (included.length === limit ? included.at(-1)?.id : undefined) ?? Number.MAX_SAFE_INTEGER;
  if (member.mayUseIndex) await allowBitmapScans(tx, true);
  const letIn: MemberRow[] = [];
  for await (const { after: from, to = end } of slicesOf(tx, moment, { after })) {
    const slice = { after: from, to: Math.min(to, end) };
    letIn.push(...(await selectLetIn(tx, id, member, { ...slice, limit: limit - letIn.length, now })));
    if (letIn.length >= limit || to >= end) break;
  }
  if (member.mayUseIndex) await allowBitmapScans(tx, false);
  const found = new Map([...included, ...letIn].map((row) => [row.id, row]));
  return [...found.values()].sort((a, b) => a.id - b.id).slice(0, limit);
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
  return selectDecided(tx, definition.id, ids.slice(0, limit), options.now);
}

/** All members of a segment now, by override or by rule, a page at a time. */
export async function membersPage(
  context: ReadContext & { readonly cursors: Cursors },
  slug: string,
  { limit = 100, cursor }: { limit?: number; cursor?: string },
): Promise<{ users: Member[]; next_cursor: string | null }> {
  const { cursors } = context;
  const decoded = cursor === undefined ? undefined : cursors.decode('members', cursor);
  return inOneMoment(
    context,
    async (tx, definitions, moment) => {
      const definition = find(definitions, slug);
      const [place] = placeWithin(definition.id, decoded) ?? [0];
      const page = { after: Number(place), limit: limit + 1 };
      await keepSnapshots(tx);
      const inSql = pagesInSql(tx, definitions, definition, moment);
      const found = await (inSql ? inSql(page) : decidedPage(tx, definitions, definition, page, moment));
      const { rows, next_cursor } = pageOf(withSource(definition, found), limit, (last) =>
        cursors.encode('members', [definition.id, last.id]),
      );
      return { users: rows, next_cursor };
    },
    pagesPlannerOff,
  );
}

export async function countOfMembers(context: ReadContext, slug: string): Promise<number> {
  return inOneMoment(context, (tx, definitions, moment) => countOf(tx, definitions, find(definitions, slug), moment));
}

export async function countOf(
  tx: Db,
  definitions: Definitions,
  definition: Definition,
  moment: Moment,
): Promise<number> {
  const { now } = moment;
  if (!isActive(definition, now)) return 0;
  if (isList(definition)) return countListMembers(tx, definition.id, now);
  const member = memberSql(definitions, definition, { now, isDistributed: tx.isDistributed });
  let count = 0;
  if (member) {
    for await (const slice of slicesOf(tx, moment))
      count += await countMembers(tx, definition.id, member, { ...slice, now });
    return count;
  }
  const decided = decidedUsers(tx, definitions, definition, moment);
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
  await keepSnapshots(tx);
  const moment = { now, until: Number.POSITIVE_INFINITY };
  const inSql = pagesInSql(tx, definitions, definition, moment);
  if (!inSql) {
    for await (const { members } of decidedUsers(tx, definitions, definition, moment)) {
      await take(withSource(definition, await selectDecided(tx, definition.id, members, now)));
    }
    return;
  }
  for (let after = 0; ; ) {
    const batch = await inSql({ after, limit: batchRows });
    await take(withSource(definition, batch));
    if (batch.length < batchRows) return;
    after = batch.at(-1)?.id ?? after;
  }
}

/** All members of a segment as of one moment, by id. `take` receives batches; the last one may be empty. */
export function eachMember(context: ReadContext, slug: string, take: Take): Promise<void> {
  return inOneMoment(
    context,
    (tx, definitions, { now }) => eachOf(tx, definitions, find(definitions, slug), now, take),
    pagesPlannerOff,
  );
}

/** Likewise all users whom percentage and condition let in, regardless of overrides of this segment. */
export function eachLetIn(context: ReadContext, segmentId: number, take: Take): Promise<void> {
  return inOneMoment(
    context,
    async (tx, definitions, { now }) => {
      const definition = definitions.byId.get(segmentId);
      // With the id of a draft it has no overrides.
      if (definition) await eachOf(tx, definitions, { ...definition, id: draftId }, now, take);
    },
    pagesPlannerOff,
  );
}
