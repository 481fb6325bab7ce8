import { onBehalfOf, theService } from '../../concurrency/party.ts';
import { Turns } from '../../concurrency/turns.ts';
import { type Changes, changesAfter, cursorOf, type FeedRow, type FeedsContext, type Position } from './feeds.ts';
import { changeJson } from './on-wire.ts';

/** Changes that several followers of a feed receive. */
export interface SharedChanges extends Changes {
  /** The bytes that all their streams share. */
  readonly events: Buffer;
}

/** The most changes in one piece of a stream, and the most bytes of their definitions. */
const streamedAtOnce = { limit: 200, bytes: 256 * 1024 };

/**
 * Reads the changes of feeds for all streams of this process. Streams at the same position, as all that keep up are, share one
 * statement and one text.
 */
export class SharedReading {
  readonly #context: FeedsContext;
  readonly #underWay = new Map<string, Promise<SharedChanges>>();

  constructor(context: FeedsContext) {
    this.#context = context;
  }

  after(feed: FeedRow, place: Position): Promise<SharedChanges> {
    const key = `${feed.id} ${place.id} ${place.nonce} ${feed.types.join()}`;
    const underWay = this.#underWay.get(key);
    if (underWay) return underWay;
    const reading = onBehalfOf(theService, () => this.#read(feed, place)).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, reading);
    return reading;
  }

  async #read(feed: FeedRow, place: Position): Promise<SharedChanges> {
    const found = await changesAfter(this.#context.db, feed, place, streamedAtOnce);
    let text = '';
    const turns = new Turns();
    for (const change of found.changes) {
      if (turns.isOver) await turns.pause();
      text += `id: ${await cursorOf(this.#context, change)}\ndata: ${changeJson(change)}\n\n`;
    }
    return { ...found, events: Buffer.from(text) };
  }
}
