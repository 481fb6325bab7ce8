import type { Tx } from '../../postgres/database.ts';
import type { Definitions } from '../../segmentation/definitions.ts';
import { allOut, differencesAfter, publishInSets } from './differences.ts';
import { lastUserId } from './fill.sql.ts';
import type { Moment, TurnSizes } from './moment.ts';
import { publish } from './publish.ts';
import {
  advanceRecheck,
  endRecheck,
  insertRechecks,
  type Recheck,
  selectRecheck,
  updateBoundsSeen,
  updateRecheckWriters,
} from './rechecks.sql.ts';
import { type FollowedRule, followedRule, lastBound } from './rules.ts';
import { beginTurn, type FollowedSegment } from './turn-state.sql.ts';
import { stillWriting } from './writers.ts';

/** The segments whose members a change of a definition may move: itself and all that name it, directly or indirectly. */
export function dependentsOf({ rules }: Moment, followed: readonly FollowedSegment[], segmentId: number): number[] {
  return followed.map(({ id }) => id).filter((id) => id === segmentId || rules.byId.get(id)?.involved.has(segmentId));
}

/** Schedules a recheck of each segment that has started or ended, or that names one which has. True if there was one. */
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

/** Continues the next recheck. Returns how many changes were published; undefined while waiting for writers. */
export async function recheckNext(tx: Tx, moment: Moment, sizes: TurnSizes): Promise<number | undefined> {
  const recheck = await selectRecheck(tx, lastUserId);
  if (!recheck) return undefined;
  await beginTurn(tx);
  const { awaited, isOver } = await stillWriting(tx, recheck.writers);
  if (isOver) return recheckSlice(tx, moment, recheck, sizes);
  await updateRecheckWriters(tx, recheck.segment_id, awaited);
  return awaited.length === 0 ? 0 : undefined;
}

/** Compares the next users of a segment with its published members, and publishes the differences. Returns how many. */
async function recheckSlice(tx: Tx, moment: Moment, recheck: Recheck, sizes: TurnSizes): Promise<number> {
  const { segment_id: segmentId, done_to: after, at, cause, actor } = recheck;
  const { definitions, byId } = moment.rules;
  const definition = definitions.byId.get(segmentId);
  const rule = byId.get(segmentId) ?? (definition && followedRule(definitions, definition));
  const inSets = rule && (await publishInSets(tx, moment, rule, after, sizes, { at, cause, actor }));
  if (inSets) {
    await goOn(tx, segmentId, inSets.last);
    return inSets.published;
  }
  const { found, last } = rule
    ? await differencesAfter(tx, moment, rule, after, sizes)
    : await allOut(tx, segmentId, after, sizes.sliceRows);
  await goOn(tx, segmentId, last);
  return publish(
    tx,
    found.map((one) => ({ ...one, segmentId, at, cause, actor })),
  );
}

async function goOn(tx: Tx, segmentId: number, last: number | undefined): Promise<void> {
  await (last === undefined ? endRecheck(tx, segmentId) : advanceRecheck(tx, segmentId, last));
}
