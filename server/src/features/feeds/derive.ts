import type { ChangeCause } from '@kohort/contract';
import type { Tx } from '../../postgres/database.ts';
import type { FeedEvent } from '../outbox/outbox.ts';
import { deriveFromEvents } from './derive-rules.ts';
import type { Due } from './due.sql.ts';
import type { Moment } from './moment.ts';
import { selectIncluded, selectToldOf } from './told.sql.ts';

/** Where a user stands in a segment from a moment on. */
export interface Standing {
  readonly segmentId: number;
  readonly userId: number;
  readonly isIn: boolean;
  readonly at: Date;
  /** Undefined: what it does, `add` or `remove`. */
  readonly cause: ChangeCause | undefined;
  readonly actor: string;
  /** Of a user who is gone; undefined: that of the user with this id. */
  readonly externalId?: string | null;
}

/**
 * What events come to, in their order: for each, where its user stands from then on. It may say what was told before, and
 * about users who were not moved; `tell` compares with what was told last.
 */
export async function standingsAfter(
  tx: Tx,
  moment: Moment,
  events: readonly FeedEvent[],
  /** Users of whom more events wait. */
  waiting: ReadonlySet<number>,
): Promise<{ standings: Standing[]; due: Due[] }> {
  const derived = await deriveFromEvents(tx, moment, events, waiting);
  const included = await includedOf(tx, events);
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

/** The pairs of bulk events that are in by now: single events that came after those were told before them. */
async function includedOf(tx: Tx, events: readonly FeedEvent[]): Promise<ReadonlySet<string>> {
  const pairs = events.flatMap(({ kind, bulk, segment_id, user_id }) =>
    kind === 'override' && bulk && segment_id !== null && user_id !== null
      ? [{ segmentId: segment_id, userId: user_id }]
      : [],
  );
  const found = pairs.length === 0 ? [] : await selectIncluded(tx, pairs);
  return new Set(found.map(({ segmentId, userId }) => pairOf(segmentId, userId)));
}

/** In a list overrides alone decide. */
function standingsOfOverride({ rules }: Moment, event: FeedEvent, included: ReadonlySet<string>): Standing[] {
  const { segment_id, user_id, mode, at, cause, actor, bulk } = event;
  if (segment_id === null || user_id === null || rules.byId.has(segment_id)) return [];
  const isIn = bulk ? included.has(pairOf(segment_id, user_id)) : mode === 'include';
  return [{ segmentId: segment_id, userId: user_id, isIn, at, cause: cause ?? undefined, actor }];
}

/** Out of everything that they were told to be in, or are by the events before. */
async function standingsOfErasure(
  tx: Tx,
  { user_id, at, actor, external_id }: FeedEvent,
  before: readonly Standing[],
): Promise<Standing[]> {
  if (user_id === null) return [];
  const told = await selectToldOf(tx, user_id);
  const since = before.filter(({ userId }) => userId === user_id).map(({ segmentId }) => segmentId);
  return [...new Set([...told, ...since])].map((segmentId) => ({
    segmentId,
    userId: user_id,
    isIn: false,
    at,
    cause: 'erasure' as const,
    actor,
    externalId: external_id,
  }));
}
