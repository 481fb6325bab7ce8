import type { ChangeCause } from '@kohort/contract';
import type { Tx } from '../../postgres/database.ts';
import type { FeedEvent } from '../outbox/outbox.ts';
import { selectToldOf } from './told.sql.ts';

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
export async function standingsAfter(tx: Tx, events: readonly FeedEvent[]): Promise<Standing[]> {
  const standings: Standing[] = [];
  for (const event of events) {
    switch (event.kind) {
      case 'override':
        standings.push(...standingsOfOverride(event));
        break;
      case 'erasure':
        standings.push(...(await standingsOfErasure(tx, event, standings)));
        break;
    }
  }
  return standings;
}

/** In a list overrides alone decide. */
function standingsOfOverride({ segment_id, user_id, mode, at, cause, actor }: FeedEvent): Standing[] {
  if (segment_id === null || user_id === null) return [];
  const isIn = mode === 'include';
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
