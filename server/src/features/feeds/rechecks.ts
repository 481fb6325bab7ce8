import type { Tx } from '../../postgres/database.ts';
import type { Definitions } from '../../segmentation/definition.ts';
import { type Due, replaceDue } from './due.sql.ts';
import type { Moment } from './moment.ts';
import {
  advanceRecheck,
  endRecheck,
  insertRechecks,
  type Recheck,
  selectRecheck,
  selectToldAfter,
  updateBoundsSeen,
  updateRecheckWriters,
} from './rechecks.sql.ts';
import { type FollowedRule, followedRule, lastBound } from './rules.ts';
import { courseOf, type Look } from './stages.ts';
import { selectSubjectsAfter } from './subjects.sql.ts';
import { tell } from './tell.ts';
import { beginTurn, type FollowedSegment, lastUserId } from './told.sql.ts';
import { stillWriting } from './writers.ts';

/** The segments whose members a change of a definition may move: itself and all that name it, directly or not. */
export function dependentsOf({ rules }: Moment, followed: readonly FollowedSegment[], segmentId: number): number[] {
  return followed.map(({ id }) => id).filter((id) => id === segmentId || rules.byId.get(id)?.involved.has(segmentId));
}

/** Has all users looked at again where a segment, or one that its condition names, has begun or ended. True if there was one. */
export async function seeToBounds(tx: Tx, moment: Moment, followed: readonly FollowedSegment[]): Promise<boolean> {
  const { rules, now } = moment;
  const passed = followed.flatMap(({ id, bounds_seen_to }) => {
    const rule = rules.byId.get(id);
    const bound = rule && lastBound(rule, bounds_seen_to, now);
    return rule && bound !== undefined ? [{ rule, bound }] : [];
  });
  if (passed.length === 0) return false;
  await beginTurn(tx);
  for (const { rule, bound } of passed) {
    const cause = startsAt(rules.definitions, rule, bound) ? 'start' : 'end';
    await insertRechecks(tx, [rule.definition.id], { at: new Date(bound), cause, actor: 'system', waits: false });
  }
  const ids = passed.map(({ rule }) => rule.definition.id);
  await updateBoundsSeen(tx, ids, new Date(now));
  return true;
}

function startsAt({ byId }: Definitions, { involved }: FollowedRule, moment: number): boolean {
  return [...involved].some((id) => byId.get(id)?.activeFrom === moment);
}

export interface Slice {
  /** Whom it began after, and whom it ended with; undefined for the last one. */
  readonly last: number | undefined;
  readonly looks: readonly (Look & { readonly userId: number })[];
  readonly due: readonly Due[];
}

/** Looks at the next users of all, as of now. */
export async function lookAtUsers(
  tx: Tx,
  { rules, now, turns }: Moment,
  rule: FollowedRule,
  page: { readonly after: number; readonly limit: number },
): Promise<Slice> {
  const segmentId = rule.definition.id;
  const subjects = await selectSubjectsAfter(tx, [...rule.involved], page);
  const looks: (Look & { userId: number })[] = [];
  const due: Due[] = [];
  for (const [userId, subject] of subjects) {
    const stage = { order: 0, at: now, subject, cause: 'definition' as const, actor: 'system' };
    const course = await turns.take(courseOf(rules.definitions, rule, [stage], now));
    looks.push(...course.looks.map((look) => ({ ...look, userId })));
    due.push({ segmentId, userId, at: course.due === undefined ? null : new Date(course.due) });
  }
  const ids = [...subjects.keys()];
  return { last: ids.length < page.limit ? undefined : ids.at(-1), looks, due };
}

/** Goes on with the recheck that is next. Returns how many changes were told; undefined where writers are waited for. */
export async function recheckNext(tx: Tx, moment: Moment, limit: number): Promise<number | undefined> {
  const recheck = await selectRecheck(tx, lastUserId);
  if (!recheck) return undefined;
  await beginTurn(tx);
  const { awaited, isOver } = await stillWriting(tx, recheck.writers);
  if (isOver) return recheckSlice(tx, moment, recheck, limit);
  await updateRecheckWriters(tx, recheck.segment_id, awaited);
  return awaited.length === 0 ? 0 : undefined;
}

/** Looks at the next users of a segment again, and tells whom the change has moved. Returns how many. */
async function recheckSlice(tx: Tx, moment: Moment, recheck: Recheck, limit: number): Promise<number> {
  const { segment_id: segmentId, done_to: after, at, cause, actor } = recheck;
  const definition = moment.rules.definitions.byId.get(segmentId);
  const standing = { segmentId, at, cause, actor };
  if (!definition) {
    // It was deleted: all who were in are out.
    const userIds = await selectToldAfter(tx, segmentId, { after, limit });
    await goOn(tx, segmentId, userIds.length < limit ? undefined : userIds.at(-1));
    return tell(
      tx,
      userIds.map((userId) => ({ ...standing, userId, isIn: false })),
    );
  }
  const rule = moment.rules.byId.get(segmentId) ?? followedRule(moment.rules.definitions, definition);
  const { last, looks, due } = await lookAtUsers(tx, moment, rule, { after, limit });
  await goOn(tx, segmentId, last);
  const told = await tell(
    tx,
    looks.map(({ userId, isIn }) => ({ ...standing, userId, isIn })),
  );
  await replaceDue(tx, due);
  return told;
}

async function goOn(tx: Tx, segmentId: number, last: number | undefined): Promise<void> {
  if (last === undefined) await endRecheck(tx, segmentId);
  else await advanceRecheck(tx, segmentId, last);
}
