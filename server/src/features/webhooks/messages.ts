import { randomUUID } from 'node:crypto';
import { Problem } from '@kohort/contract';
import {
  type ChangeRow,
  changeJson,
  changesAfter,
  cursorOf,
  type FeedRow,
  type FeedsContext,
  type Position,
  placeIn,
} from '../feeds/feeds.ts';

export const batchChanges = 100;
/** The most bytes of definitions in a batch; a single one may exceed it. */
const batchBytes = 256 * 1024;
/** The most scans of one read that may find changes of other feeds only. */
const maxScans = 20;

export function drawMessageId(): string {
  return `msg_${randomUUID().replaceAll('-', '')}`;
}

/** The next undelivered changes, and the position after them. */
export interface Batch {
  readonly changes: readonly ChangeRow[];
  readonly until: Position;
}

/**
 * The position from which a webhook continues in its feed. Undefined if the changes there have been deleted.
 * @throws Problem `overloaded` while the feed is being prepared.
 */
export async function placeOf(
  feeds: FeedsContext,
  feed: FeedRow,
  position: Position | undefined,
): Promise<Position | undefined> {
  try {
    return await placeIn(feeds, feed, position && (await cursorOf(feeds, position)));
  } catch (error) {
    if (error instanceof Problem && error.code === 'resync') return undefined;
    throw error;
  }
}

/** Reads the next batch. If it is empty, `until` is as far as the scan went. */
export async function readNext({ db }: FeedsContext, feed: FeedRow, after: Position): Promise<Batch> {
  let until = after;
  for (let scan = 0; scan < maxScans; scan++) {
    const { changes, position } = await changesAfter(db, feed, until, { limit: batchChanges, bytes: batchBytes });
    if (changes.length > 0) return { changes, until: position };
    if (position.id === until.id) break;
    until = position;
  }
  return { changes: [], until };
}

/** Reads a batch again: the `count` changes between two positions. */
export async function readAgain(
  { db }: FeedsContext,
  feed: FeedRow,
  { after, until, count }: { after: Position; until: Position; count: number },
): Promise<ChangeRow[]> {
  const found: ChangeRow[] = [];
  for (let place = after; place.id < until.id && found.length < count; ) {
    const { changes, position } = await changesAfter(db, feed, place, { limit: count - found.length });
    found.push(...changes.filter(({ id }) => id <= until.id));
    if (position.id === place.id) break;
    place = position;
  }
  return found;
}

export interface MessageParts {
  readonly type: 'changes' | 'resync' | 'test';
  readonly webhook: number;
  readonly feed: number;
  readonly writtenAt: Date;
  readonly changes: readonly ChangeRow[];
  /** The cursor after these changes; null for a test. */
  readonly cursor: string | null;
}

/** The same bytes at each attempt. `changes` and `cursor` are as in the answer of a poll. */
export function bodyOf({ type, webhook, feed, writtenAt, changes, cursor }: MessageParts): Buffer {
  const head = JSON.stringify({ type, timestamp: writtenAt.toISOString(), webhook, feed });
  return Buffer.from(
    `${head.slice(0, -1)},"changes":[${changes.map(changeJson).join()}],"cursor":${JSON.stringify(cursor)}}`,
  );
}
