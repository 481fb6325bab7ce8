import { randomUUID } from 'node:crypto';
import { Problem } from '@kohort/contract';
import {
  type ChangeRow,
  changeOnWire,
  changesAfter,
  cursorOf,
  type FeedRow,
  type FeedsContext,
  type Position,
  placeIn,
} from '../feeds/feeds.ts';

export const batchChanges = 100;
/** Definitions may be large; a batch ends before the change that would make it larger than this. */
const batchBytes = 256 * 1024;
/** How often one read of a batch looks through changes of other feeds alone. */
const maxLooks = 20;

export function drawMessageId(): string {
  return `msg_${randomUUID().replaceAll('-', '')}`;
}

/** The first changes that have not been delivered, and where they end. */
export interface Batch {
  readonly changes: readonly ChangeRow[];
  readonly until: Position;
}

/**
 * Where a webhook goes on in its feed. Undefined when the changes there are not kept any more.
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

/** Reads the next batch, or as far as there was none. */
export async function readNext({ db }: FeedsContext, feed: FeedRow, after: Position): Promise<Batch> {
  let until = after;
  for (let look = 0; look < maxLooks; look++) {
    const { changes, position } = await changesAfter(db, feed, until, batchChanges);
    if (changes.length > 0) return fitting(changes, position);
    if (position.id === until.id) break;
    until = position;
  }
  return { changes: [], until };
}

/** As many of the changes as a message may hold, and one at least. */
function fitting(changes: readonly ChangeRow[], end: Position): Batch {
  let bytes = 0;
  for (const [i, change] of changes.entries()) {
    bytes += JSON.stringify(changeOnWire(change)).length;
    const before = changes[i - 1];
    if (bytes > batchBytes && before) {
      return { changes: changes.slice(0, i), until: { id: before.id, nonce: before.nonce } };
    }
  }
  return { changes, until: end };
}

/** Reads a batch again: the changes after one place up to another, of which there are so many. */
export async function readAgain(
  { db }: FeedsContext,
  feed: FeedRow,
  { after, until, count }: { after: Position; until: Position; count: number },
): Promise<ChangeRow[]> {
  const found: ChangeRow[] = [];
  for (let place = after; place.id < until.id && found.length < count; ) {
    const { changes, position } = await changesAfter(db, feed, place, count - found.length);
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

/** The same bytes at each attempt. `changes` and `cursor` are as a pull would answer them. */
export function bodyOf({ type, webhook, feed, writtenAt, changes, cursor }: MessageParts): Buffer {
  const message = {
    type,
    timestamp: writtenAt.toISOString(),
    webhook,
    feed,
    changes: changes.map(changeOnWire),
    cursor,
  };
  return Buffer.from(JSON.stringify(message));
}
