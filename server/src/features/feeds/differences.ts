import type { ChangeCause } from '@kohort/contract';
import type { Tx } from '../../postgres/database.ts';
import { isActive, isList, isPlainList } from '../../segmentation/definition.ts';
import type { Definitions } from '../../segmentation/definitions.ts';
import { type MemberSql, memberSql, noMembers } from '../memberships/memberships.ts';
import {
  publishDifferences,
  replaceExpiries,
  selectDifferences,
  selectEndOfUsers,
  selectPublishedAfter,
  selectPublishedWithin,
  type UserRange,
} from './differences.sql.ts';
import { type Due, replaceDue } from './due.sql.ts';
import { lastUserId } from './fill.sql.ts';
import type { Moment, TurnSizes } from './moment.ts';
import { selectBeforeOvertaken, selectOvertaken } from './overtaken.ts';
import { type FollowedRule, nextBound } from './rules.ts';
import { courseOf } from './stages.ts';
import { selectSubjectsAfter } from './subjects.sql.ts';

export interface Difference {
  readonly userId: number;
  readonly isIn: boolean;
}

export interface Differences {
  /** Users whose membership differs from the published one, by id. */
  readonly found: readonly Difference[];
  /** The last user that was compared; undefined at the end. */
  readonly last: number | undefined;
}

/**
 * Compares the next users, as they are now, with the published members of a segment, and schedules their next evaluation. Uses
 * sets in SQL if SQL can decide the rule and time moves users only by expiries; otherwise goes user by user.
 */
export async function differencesAfter(
  tx: Tx,
  moment: Moment,
  rule: FollowedRule,
  after: number,
  { sliceRows, usersAtOnce }: TurnSizes,
): Promise<Differences> {
  const member = rule.readsClock ? undefined : sqlOf(tx, moment.rules.definitions, rule, moment.now);
  if (!member) return compareOneByOne(tx, moment, rule, after, usersAtOnce);
  const last = await selectEndOfUsers(tx, after, sliceRows);
  return { found: await compareInSets(tx, moment, rule, member, { after, to: last ?? lastUserId }), last };
}

/** In a deleted segment the next published members are out. */
export async function allOut(tx: Tx, segmentId: number, after: number, limit: number): Promise<Differences> {
  const userIds = await selectPublishedAfter(tx, segmentId, after, limit);
  return {
    found: userIds.map((userId) => ({ userId, isIn: false })),
    last: userIds.length < limit ? undefined : userIds.at(-1),
  };
}

function sqlOf(tx: Tx, definitions: Definitions, { definition }: FollowedRule, now: number): MemberSql | undefined {
  // A list, or an inactive segment, has no members by rule.
  if (!isActive(definition, now)) return noMembers;
  // Citus does not join users on workers with published members on the coordinator.
  if (tx.isDistributed) return undefined;
  if (isList(definition)) return noMembers;
  return memberSql(definitions, definition, { now, isDistributed: false });
}

async function noteExpiries(tx: Tx, now: number, rule: FollowedRule, range: UserRange): Promise<void> {
  const { definition, involved } = rule;
  const bound = nextBound(rule, now);
  await replaceExpiries(tx, definition.id, range, {
    // In a plain list the sweep records expiries in the outbox.
    segmentIds: isPlainList(definition) ? [] : [...involved],
    from: new Date(now),
    before: Number.isFinite(bound) ? new Date(bound) : null,
  });
}

/**
 * Publishes the differences of the next users of a filled segment in one statement. Undefined if SQL cannot decide the rule.
 */
export async function publishInSets(
  tx: Tx,
  { rules, now }: Moment,
  rule: FollowedRule,
  after: number,
  { sliceRows }: TurnSizes,
  by: { readonly at: Date; readonly cause: ChangeCause; readonly actor: string },
): Promise<{ readonly published: number; readonly last: number | undefined } | undefined> {
  const { definition } = rule;
  if (rule.readsClock || !isActive(definition, now)) return undefined;
  const member = sqlOf(tx, rules.definitions, rule, now);
  if (!member) return undefined;
  const last = await selectEndOfUsers(tx, after, sliceRows);
  const range = { after, to: last ?? lastUserId };
  const published = await publishDifferences(tx, definition.id, member, range, by);
  await noteExpiries(tx, now, rule, range);
  return { published, last };
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
    : [...(await selectPublishedWithin(tx, definition.id, range))].map((user_id) => ({ user_id, is_in: false }));
  await noteExpiries(tx, now, rule, range);
  return found.map(({ user_id, is_in }) => ({ userId: user_id, isIn: is_in }));
}

async function compareOneByOne(
  tx: Tx,
  moment: Moment,
  rule: FollowedRule,
  after: number,
  limit: number,
): Promise<Differences> {
  const { rules, now, turns } = moment;
  const segmentId = rule.definition.id;
  const involvedIds = [...rule.involved];
  const subjects = await selectSubjectsAfter(tx, involvedIds, { after, limit });
  const ids = [...subjects.keys()];
  const last = ids.length < limit ? undefined : ids.at(-1);
  const overtaken = await selectOvertaken(tx, moment, ids);
  const before = await selectBeforeOvertaken(tx, overtaken, involvedIds);
  const published = await selectPublishedWithin(tx, segmentId, { after, to: last ?? lastUserId });
  const found: Difference[] = [];
  const due: Due[] = [];
  for (const [userId, current] of subjects) {
    const subject = before.has(userId) ? before.get(userId) : current;
    if (!subject) continue;
    const stage = { order: 0, at: now, subject: subject(), cause: undefined, actor: 'system' };
    const { evaluations, due: at } = await turns.take(courseOf(rules.definitions, rule, [stage], now));
    const isIn = evaluations.at(-1)?.isIn ?? false;
    if (isIn !== published.has(userId)) found.push({ userId, isIn });
    due.push({ segmentId, userId, at: at === undefined ? null : new Date(at) });
  }
  await replaceDue(tx, due);
  return { found, last };
}
