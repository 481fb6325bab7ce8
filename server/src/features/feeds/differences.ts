import type { ChangeCause } from '@kohort/contract';
import type { Tx } from '../../postgres/database.ts';
import { type Definitions, isActive, isList, isPlainList } from '../../segmentation/definition.ts';
import { type MemberSql, memberSql, nobody } from '../memberships/memberships.ts';
import {
  replaceExpiries,
  selectDifferences,
  selectEndOfUsers,
  selectToldAfter,
  selectToldWithin,
  tellDifferences,
  type UserRange,
} from './differences.sql.ts';
import { type Due, replaceDue } from './due.sql.ts';
import type { Moment, TurnSizes } from './moment.ts';
import { type FollowedRule, nextBound } from './rules.ts';
import { courseOf } from './stages.ts';
import { selectSubjectsAfter } from './subjects.sql.ts';
import { lastUserId } from './told.sql.ts';

export interface Difference {
  readonly userId: number;
  readonly isIn: boolean;
}

export interface Differences {
  /** Where users stand otherwise than was told, in order of their ids. */
  readonly found: readonly Difference[];
  /** The last user who was looked at; undefined when these were all. */
  readonly last: number | undefined;
}

/**
 * Compares the next users after one, as they are now, with what was told of a segment, and notes when to look at each again. As
 * sets in SQL, where that can say who is in and when they are to be looked at again; else user by user.
 */
export async function differencesAfter(
  tx: Tx,
  moment: Moment,
  rule: FollowedRule,
  after: number,
  { sliceRows, usersAtOnce }: TurnSizes,
): Promise<Differences> {
  const member = rule.readsClock ? undefined : sqlOf(moment.rules.definitions, rule, moment.now);
  if (!member) return compareOneByOne(tx, moment, rule, after, usersAtOnce);
  const last = await selectEndOfUsers(tx, after, sliceRows);
  return { found: await compareInSets(tx, moment, rule, member, { after, to: last ?? lastUserId }), last };
}

/** Of a deleted segment: the next who were told to be in are out. */
export async function allOut(tx: Tx, segmentId: number, after: number, limit: number): Promise<Differences> {
  const userIds = await selectToldAfter(tx, segmentId, after, limit);
  return {
    found: userIds.map((userId) => ({ userId, isIn: false })),
    last: userIds.length < limit ? undefined : userIds.at(-1),
  };
}

function sqlOf(definitions: Definitions, { definition }: FollowedRule, now: number): MemberSql | undefined {
  // Neither a list nor a segment that is not active lets anybody in by a rule.
  return isList(definition) || !isActive(definition, now) ? nobody : memberSql(definitions, definition, now);
}

async function noteExpiries(tx: Tx, now: number, rule: FollowedRule, range: UserRange): Promise<void> {
  const { definition, involved } = rule;
  const bound = nextBound(rule, now);
  await replaceExpiries(tx, definition.id, range, {
    // In a plain list what is swept is recorded, and told.
    segmentIds: isPlainList(definition) ? [] : [...involved],
    from: new Date(now),
    before: Number.isFinite(bound) ? new Date(bound) : null,
  });
}

/**
 * Tells the next users after one in one statement, where SQL can say who is in; undefined where it cannot. Of a segment that has
 * been filled.
 */
export async function tellInSets(
  tx: Tx,
  { rules, now }: Moment,
  rule: FollowedRule,
  after: number,
  { sliceRows }: TurnSizes,
  by: { readonly at: Date; readonly cause: ChangeCause; readonly actor: string },
): Promise<{ readonly told: number; readonly last: number | undefined } | undefined> {
  const { definition } = rule;
  if (rule.readsClock || !isActive(definition, now)) return undefined;
  const member = sqlOf(rules.definitions, rule, now);
  if (!member) return undefined;
  const last = await selectEndOfUsers(tx, after, sliceRows);
  const range = { after, to: last ?? lastUserId };
  const told = await tellDifferences(tx, definition.id, member, range, by);
  await noteExpiries(tx, now, rule, range);
  return { told, last };
}

async function compareInSets(
  tx: Tx,
  { now }: Moment,
  rule: FollowedRule,
  member: MemberSql,
  range: UserRange,
): Promise<Difference[]> {
  const { definition } = rule;
  const found = isActive(definition, now)
    ? await selectDifferences(tx, definition.id, member, range)
    : [...(await selectToldWithin(tx, definition.id, range))].map((user_id) => ({ user_id, is_in: false }));
  await noteExpiries(tx, now, rule, range);
  return found.map(({ user_id, is_in }) => ({ userId: user_id, isIn: is_in }));
}

async function compareOneByOne(
  tx: Tx,
  { rules, now, turns }: Moment,
  rule: FollowedRule,
  after: number,
  limit: number,
): Promise<Differences> {
  const segmentId = rule.definition.id;
  const subjects = await selectSubjectsAfter(tx, [...rule.involved], { after, limit });
  const ids = [...subjects.keys()];
  const last = ids.length < limit ? undefined : ids.at(-1);
  const told = await selectToldWithin(tx, segmentId, { after, to: last ?? lastUserId });
  const found: Difference[] = [];
  const due: Due[] = [];
  for (const [userId, subject] of subjects) {
    const stage = { order: 0, at: now, subject: subject(), cause: undefined, actor: 'system' };
    const { looks, due: at } = await turns.take(courseOf(rules.definitions, rule, [stage], now));
    const isIn = looks.at(-1)?.isIn ?? false;
    if (isIn !== told.has(userId)) found.push({ userId, isIn });
    due.push({ segmentId, userId, at: at === undefined ? null : new Date(at) });
  }
  await replaceDue(tx, due);
  return { found, last };
}
