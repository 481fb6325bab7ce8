import type { Tx } from '../../postgres/database.ts';
import type { TimedSubject } from '../../segmentation/next-moment.ts';
import type { FeedEvent } from '../outbox/outbox.ts';
import type { Standing } from './derive.ts';
import { type Due, type DueRow, selectDue } from './due.sql.ts';
import type { Moment } from './moment.ts';
import type { FollowedRule, FollowedRules } from './rules.ts';
import { courseOf, type Stage } from './stages.ts';
import { type PastMoment, type Subject, selectPastSubjects, selectSubjects } from './subjects.sql.ts';

export interface OrderedStanding extends Standing {
  /** The place of the event that it belongs to. */
  readonly order: number;
}

export interface Derived {
  readonly standings: OrderedStanding[];
  readonly due: Due[];
}

/** A user in a segment that events may have moved them in or out of: the places of those events. */
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

/** The subjects of one turn. Of the past only those moments are read that matter. */
class Subjects {
  readonly #past = new Map<string, Subject | undefined>();
  readonly #moments = new Map<string, PastMoment>();
  #current: ReadonlyMap<number, Subject> = new Map();

  wantPast(userId: number, at: number): void {
    this.#moments.set(`${userId} ${at}`, { userId, at: new Date(at) });
  }

  async read(tx: Tx, userIds: readonly number[], segmentIds: readonly number[]): Promise<void> {
    this.#current = await selectSubjects(tx, userIds, segmentIds);
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

/** Just before a look was due nothing had ended yet: so it is known what did. */
const beforeDue = ({ due_at }: DueRow) => due_at.getTime() - 1;

/**
 * Where events of users leave them in followed segments with a rule. Of several events of one user each is looked at as of its
 * own moment, so that a short stay is told; but those of many at once, which others may have overtaken. Whatever the moments
 * say, the last look is as of now: what was told is how users stand. What time alone did before an event comes before it.
 * @param waiting users of whom more events wait: the last one that was taken is looked at as of its own moment too.
 */
export async function deriveFromEvents(
  tx: Tx,
  { rules, now, turns }: Moment,
  events: readonly FeedEvent[],
  waiting: ReadonlySet<number>,
): Promise<Derived> {
  const concerned = concernedBy(events, rules);
  if (concerned.length === 0) return { standings: [], due: [] };
  const userIds = [...new Set(concerned.map(({ userId }) => userId))];
  const segmentIds = [...new Set(concerned.map(({ rule }) => rule.definition.id))];
  const dueRows = await selectDue(tx, now, userIds, segmentIds);
  const dueOf = new Map(dueRows.map((row) => [`${row.segment_id} ${row.user_id}`, row]));
  const pastOrders = ({ userId, orders }: Concerned) => {
    const single = orders.filter((order) => !events[order]?.bulk);
    return waiting.has(userId) ? single : single.filter((order) => order !== orders.at(-1));
  };
  const momentOf = (order: number) => events[order]?.at.getTime() ?? now;

  const subjects = new Subjects();
  const overdue = (one: Concerned) => {
    const row = dueOf.get(`${one.rule.definition.id} ${one.userId}`);
    return row && row.due_at.getTime() <= momentOf(one.orders[0] ?? 0) ? row : undefined;
  };
  for (const one of concerned) {
    const row = overdue(one);
    if (row) subjects.wantPast(one.userId, beforeDue(row));
    for (const order of pastOrders(one)) subjects.wantPast(one.userId, momentOf(order));
  }
  await subjects.read(tx, userIds, [...new Set(concerned.flatMap(({ rule }) => [...rule.involved]))]);

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
      // Whoever is gone is told by the event of that.
      if (!event || !subject) return;
      stages.push({ order, at: momentOf(order), knownFrom, subject, cause: causeOf(event), actor: event.actor });
    };
    for (const order of pastOrders(one)) add(order, subjects.past(one.userId, momentOf(order)));
    const last = one.orders.at(-1) ?? 0;
    const isSince = !events[last]?.bulk && !waiting.has(one.userId);
    add(last, subjects.current(one.userId), isSince ? momentOf(last) : now);
    return stages;
  };

  const derived: Derived = { standings: [], due: [] };
  for (const one of concerned) await addCourse(derived, { rules, now, turns }, one, stagesOf(one));
  return derived;
}

/** What the event itself does to an override, where it is that. */
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
  for (const { order, isIn, at, cause, actor } of course.looks) {
    standings.push({ order, segmentId, userId, isIn, at: new Date(at), cause, actor });
  }
  due.push({ segmentId, userId, at: course.due === undefined ? null : new Date(course.due) });
}

/** Where time alone leaves users who are due to be looked at. */
export async function deriveFromTime(tx: Tx, moment: Moment, rows: readonly DueRow[]): Promise<Derived> {
  const { rules } = moment;
  const concerned = rows.flatMap((row) => {
    const rule = rules.byId.get(row.segment_id);
    return rule ? [{ row, rule }] : [];
  });
  const subjects = await selectSubjects(
    tx,
    [...new Set(concerned.map(({ row }) => row.user_id))],
    [...new Set(concerned.flatMap(({ rule }) => [...rule.involved]))],
  );
  const derived: Derived = { standings: [], due: [] };
  for (const [order, { row, rule }] of concerned.entries()) {
    const subject = subjects.get(row.user_id)?.();
    if (!subject) continue;
    const stage: Stage = { order, at: row.due_at.getTime(), subject, cause: undefined, actor: 'system' };
    await addCourse(derived, moment, { rule, userId: row.user_id }, [stage]);
  }
  return derived;
}
