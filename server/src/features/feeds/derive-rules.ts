import type { Tx } from '../../postgres/database.ts';
import type { TimedSubject } from '../../segmentation/next-moment.ts';
import type { FeedEvent } from '../outbox/outbox.ts';
import type { Standing } from './derive.ts';
import { type Due, type DueRow, selectDue } from './due.sql.ts';
import type { Moment } from './moment.ts';
import { noneOvertaken, selectOvertaken } from './overtaken.ts';
import type { FollowedRule, FollowedRules } from './rules.ts';
import { courseOf, type Stage } from './stages.ts';
import { type PastMoment, type Subject, selectPastSubjects, selectSubjects } from './subjects.sql.ts';

export interface OrderedStanding extends Standing {
  /** Index of the event that caused it. */
  readonly order: number;
}

export interface Derived {
  readonly standings: OrderedStanding[];
  readonly due: Due[];
}

/** A user and a segment whose membership events may have changed, with the indexes of those events. */
interface Concerned {
  readonly rule: FollowedRule;
  readonly userId: number;
  readonly orders: number[];
}

function rulesConcernedBy({ kind, segment_id }: FeedEvent, rules: FollowedRules): FollowedRule[] {
  const all = [...rules.byId.values()];
  switch (kind) {
    case 'override':
      return all.filter(({ involved }) => segment_id !== null && involved.has(segment_id));
    case 'attributes':
      return all.filter(({ readsUsers }) => readsUsers);
    default:
      return [];
  }
}

function concernedBy(events: readonly FeedEvent[], rules: FollowedRules): Concerned[] {
  const concerned = new Map<string, Concerned>();
  for (const [order, event] of events.entries()) {
    const { user_id: userId } = event;
    if (userId === null) continue;
    for (const rule of rulesConcernedBy(event, rules)) {
      const key = `${rule.definition.id} ${userId}`;
      const known = concerned.get(key);
      if (known) known.orders.push(order);
      else concerned.set(key, { rule, userId, orders: [order] });
    }
  }
  return [...concerned.values()];
}

/** The subjects of one turn: as of now, and as of those past moments that an evaluation needs. */
class Subjects {
  readonly #past = new Map<string, Subject | undefined>();
  readonly #moments = new Map<string, PastMoment>();
  #current: ReadonlyMap<number, Subject> = new Map();

  wantPast(userId: number, at: number): void {
    this.#moments.set(`${userId} ${at}`, { userId, at: new Date(at) });
  }

  async readCurrent(tx: Tx, userIds: readonly number[], segmentIds: readonly number[]): Promise<void> {
    this.#current = await selectSubjects(tx, userIds, segmentIds);
  }

  async readPast(tx: Tx, segmentIds: readonly number[]): Promise<void> {
    const moments = [...this.#moments];
    const found = await selectPastSubjects(
      tx,
      moments.map(([, moment]) => moment),
      segmentIds,
    );
    for (const [i, [key]] of moments.entries()) this.#past.set(key, found[i]);
  }

  current(userId: number): TimedSubject | undefined {
    return this.#current.get(userId)?.();
  }

  past(userId: number, at: number): TimedSubject | undefined {
    return this.#past.get(`${userId} ${at}`)?.();
  }
}

/** The moment before an evaluation was due: comparing with it shows what ended. */
const beforeDue = ({ due_at }: DueRow) => due_at.getTime() - 1;

/**
 * Evaluates users in followed segments with a rule, after events. Each single event is evaluated as of its own moment, so that a
 * short stay is published; bulk events are not, since later events may have overtaken them. The last evaluation is as of
 * now, so that the published members are the current ones, except of users who were overtaken: their next event is another turn's.
 * Changes by time alone before an event come before it.
 * @param waiting users with more events in the outbox: their last event is evaluated as of its own moment too.
 */
export async function deriveFromEvents(
  tx: Tx,
  moment: Moment,
  events: readonly FeedEvent[],
  waiting: ReadonlySet<number>,
): Promise<Derived> {
  const { rules, now } = moment;
  const concerned = concernedBy(events, rules);
  if (concerned.length === 0) return { standings: [], due: [] };
  const userIds = [...new Set(concerned.map(({ userId }) => userId))];
  const segmentIds = [...new Set(concerned.map(({ rule }) => rule.definition.id))];
  const involvedIds = [...new Set(concerned.flatMap(({ rule }) => [...rule.involved]))];
  const subjects = new Subjects();
  await subjects.readCurrent(tx, userIds, involvedIds);
  // Bulk events are evaluated as of now in any case.
  const overtaken = events[0]?.bulk ? noneOvertaken : await selectOvertaken(tx, moment, userIds, events);
  const dueRows = await selectDue(tx, now, userIds, segmentIds);
  const dueOf = new Map(dueRows.map((row) => [`${row.segment_id} ${row.user_id}`, row]));
  const pastOrders = ({ userId, orders }: Concerned) => {
    const single = orders.filter((order) => !events[order]?.bulk);
    return waiting.has(userId) || overtaken.has(userId) ? single : single.filter((order) => order !== orders.at(-1));
  };
  const momentOf = (order: number) => events[order]?.at.getTime() ?? now;

  const overdue = (one: Concerned) => {
    const row = dueOf.get(`${one.rule.definition.id} ${one.userId}`);
    return row && row.due_at.getTime() <= momentOf(one.orders[0] ?? 0) ? row : undefined;
  };
  for (const one of concerned) {
    const row = overdue(one);
    if (row) subjects.wantPast(one.userId, beforeDue(row));
    for (const order of pastOrders(one)) subjects.wantPast(one.userId, momentOf(order));
  }
  await subjects.readPast(tx, involvedIds);

  const stagesOf = (one: Concerned): Stage[] => {
    const row = overdue(one);
    const before = row && subjects.past(one.userId, beforeDue(row));
    const stages: Stage[] = [];
    if (row && before) {
      const at = row.due_at.getTime();
      stages.push({ order: one.orders[0] ?? 0, at, subject: before, cause: undefined, actor: 'system' });
    }
    const add = (order: number, subject: TimedSubject | undefined, knownFrom = momentOf(order)) => {
      const event = events[order];
      // An erased user is published by their erasure event.
      if (!event || !subject) return;
      stages.push({ order, at: momentOf(order), knownFrom, subject, cause: causeOf(event), actor: event.actor });
    };
    for (const order of pastOrders(one)) add(order, subjects.past(one.userId, momentOf(order)));
    if (overtaken.has(one.userId)) return stages;
    const last = one.orders.at(-1) ?? 0;
    const isSince = !events[last]?.bulk && !waiting.has(one.userId);
    add(last, subjects.current(one.userId), isSince ? momentOf(last) : now);
    return stages;
  };

  const derived: Derived = { standings: [], due: [] };
  for (const one of concerned) await addCourse(derived, moment, one, stagesOf(one));
  return derived;
}

/** For a single change of an override the cause is the operation itself. */
function causeOf({ cause, mode }: FeedEvent): NonNullable<Stage['cause']> {
  return cause ?? (mode === 'include' ? 'add' : 'remove');
}

async function addCourse(
  { standings, due }: Derived,
  { rules, now, turns }: Moment,
  { rule, userId }: Pick<Concerned, 'rule' | 'userId'>,
  stages: readonly Stage[],
): Promise<void> {
  if (stages.length === 0) return;
  const segmentId = rule.definition.id;
  const course = await turns.take(courseOf(rules.definitions, rule, stages, now));
  for (const { order, isIn, at, cause, actor } of course.evaluations) {
    standings.push({ order, segmentId, userId, isIn, at: new Date(at), cause, actor });
  }
  due.push({ segmentId, userId, at: course.due === undefined ? null : new Date(course.due) });
}

/** Evaluates users whose evaluation is due because time alone may have moved them. */
export async function deriveFromTime(tx: Tx, moment: Moment, rows: readonly DueRow[]): Promise<Derived> {
  const { rules } = moment;
  const concerned = rows.flatMap((row) => {
    const rule = rules.byId.get(row.segment_id);
    return rule ? [{ row, rule }] : [];
  });
  const userIds = [...new Set(concerned.map(({ row }) => row.user_id))];
  const subjects = await selectSubjects(tx, userIds, [...new Set(concerned.flatMap(({ rule }) => [...rule.involved]))]);
  const overtaken = await selectOvertaken(tx, moment, userIds);
  const derived: Derived = { standings: [], due: [] };
  for (const [order, { row, rule }] of concerned.entries()) {
    if (overtaken.has(row.user_id)) {
      // The turn that takes the user's event begins with what is due before it.
      derived.due.push({ segmentId: row.segment_id, userId: row.user_id, at: row.due_at });
      continue;
    }
    const subject = subjects.get(row.user_id)?.();
    if (!subject) continue;
    const stage: Stage = { order, at: row.due_at.getTime(), subject, cause: undefined, actor: 'system' };
    await addCourse(derived, moment, { rule, userId: row.user_id }, [stage]);
  }
  return derived;
}
