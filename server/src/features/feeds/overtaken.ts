import type { Tx } from '../../postgres/database.ts';
import { type FeedEvent, selectFirstEvents } from '../outbox/outbox.ts';
import type { Moment } from './moment.ts';
import { type Subject, selectPastSubjects } from './subjects.sql.ts';

/** Users who have changed since the snapshot of the coordinator, with the moment of the first such change. */
export type Overtaken = ReadonlyMap<number, Date>;

export const noneOvertaken: Overtaken = new Map();

/**
 * A worker may show these users as events left them that this turn has not taken (ADR 115). Called after the workers were read,
 * since the coordinator shows an event before a worker shows its user.
 */
export async function selectOvertaken(
  tx: Tx,
  { outside }: Moment,
  userIds: readonly number[],
  taken: readonly FeedEvent[] = [],
): Promise<Overtaken> {
  return tx.isDistributed && userIds.length > 0 ? selectFirstEvents(outside, userIds, taken) : noneOvertaken;
}

/** As they were before they were overtaken; undefined of a user who was not registered yet. */
export async function selectBeforeOvertaken(
  tx: Tx,
  overtaken: Overtaken,
  segmentIds: readonly number[],
): Promise<ReadonlyMap<number, Subject | undefined>> {
  const moments = [...overtaken].map(([userId, at]) => ({ userId, at: new Date(at.getTime() - 1) }));
  const found = await selectPastSubjects(tx, moments, segmentIds);
  return new Map(moments.map(({ userId }, i) => [userId, found[i]]));
}
