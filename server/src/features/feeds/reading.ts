import { type Changes, changesAfter, cursorOf, type FeedRow, type FeedsContext, type Position } from './feeds.ts';
import { changeOnWire } from './on-wire.ts';

/** Changes that several followers of a feed get alike. */
export interface SharedChanges extends Changes {
  /** The same bytes for all who stream them. */
  readonly events: Buffer;
}

/** Changes that one piece of a stream holds at most. */
const streamedAtOnce = 200;

/**
 * Reads the changes of feeds for all who stream them in this process. Those who stand at the same place, as all do who have kept up,
 * share one statement and one text.
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
    const reading = this.#read(feed, place).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, reading);
    return reading;
  }

  async #read(feed: FeedRow, place: Position): Promise<SharedChanges> {
    const found = await changesAfter(this.#context.db, feed, place, streamedAtOnce);
    let text = '';
    for (const change of found.changes) {
      text += `id: ${await cursorOf(this.#context, change)}\ndata: ${JSON.stringify(changeOnWire(change))}\n\n`;
    }
    return { ...found, events: Buffer.from(text) };
  }
}
