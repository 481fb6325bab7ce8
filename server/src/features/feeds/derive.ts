import type { ChangeCause } from '@kohort/contract';
import type { Tx } from '../../postgres/database.ts';
import type { FeedEvent } from '../outbox/outbox.ts';
import { deriveFromEvents } from './derive-rules.ts';
import type { Due } from './due.sql.ts';
import type { Moment } from './moment.ts';
import { selectIncluded, selectPublishedSegments } from './published.sql.ts';

/** Whether a user is in a segment from a moment on. */
export interface Standing {
  readonly segmentId: number;
  readonly userId: number;
  readonly isIn: boolean;
  readonly at: Date;
  /** Undefined: `add` or `remove`, by what it does. */
  readonly cause: ChangeCause | undefined;
  readonly actor: string;
  /** Of an erased user; undefined: read from the user's row. */
  readonly externalId?: string | null;
}

/**
 * Turns events into standings, in order. A standing may repeat what is published already, or concern a user who has not moved:
 * `publish` compares it with the published members.
 */
export async function standingsAfter(
  tx: Tx,
  moment: Moment,
  events: readonly FeedEvent[],
  /** Users with more events in the outbox. */
  waiting: ReadonlySet<number>,
): Promise<{ standings: Standing[]; due: Due[] }> {
  const derived = await deriveFromEvents(tx, moment, events, waiting);
  const included = await includedOf(tx, moment, events);
  const byOrder = Map.groupBy(derived.standings, ({ order }) => order);
  const standings: Standing[] = [];
  for (const [order, event] of events.entries()) {
    standings.push(...(byOrder.get(order) ?? []));
    if (event.kind === 'override') standings.push(...standingsOfOverride(moment, event, included));
    if (event.kind === 'erasure') standings.push(...(await standingsOfErasure(tx, event, standings)));
  }
  return { standings, due: derived.due };
}

const pairOf = (segmentId: number | null, userId: number | null) => `${segmentId} ${userId}`;

/** The pairs of bulk events that are members now. Single events are published first, even those recorded later. */
async function includedOf(tx: Tx, { now }: Moment, events: readonly FeedEvent[]): Promise<ReadonlySet<string>> {
  const pairs = events.flatMap(({ kind, bulk, segment_id, user_id }) =>
    kind === 'override' && bulk && segment_id !== null && user_id !== null
      ? [{ segmentId: segment_id, userId: user_id }]
      : [],
  );
  const found = pairs.length === 0 ? [] : await selectIncluded(tx, pairs, new Date(now));
  return new Set(found.map(({ segmentId, userId }) => pairOf(segmentId, userId)));
}

/** In a list only overrides decide. */
function standingsOfOverride({ rules }: Moment, event: FeedEvent, included: ReadonlySet<string>): Standing[] {
  const { segment_id, user_id, mode, at, cause, actor, bulk } = event;
  if (segment_id === null || user_id === null || rules.byId.has(segment_id)) return [];
  const isIn = bulk ? included.has(pairOf(segment_id, user_id)) : mode === 'include';
  return [{ segmentId: segment_id, userId: user_id, isIn, at, cause: cause ?? undefined, actor }];
}

/** The erased user leaves all segments that they are in, as published or by the events before. */
async function standingsOfErasure(
  tx: Tx,
  { user_id, at, actor, external_id }: FeedEvent,
  before: readonly Standing[],
): Promise<Standing[]> {
  if (user_id === null) return [];
  const published = await selectPublishedSegments(tx, user_id);
  const since = before.filter(({ userId }) => userId === user_id).map(({ segmentId }) => segmentId);
  return [...new Set([...published, ...since])].map((segmentId) => ({
    segmentId,
    userId: user_id,
    isIn: false,
    at,
    cause: 'erasure' as const,
    actor,
    externalId: external_id,
  }));
}
