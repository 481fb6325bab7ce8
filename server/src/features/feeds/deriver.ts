import type { Database, Tx } from '../../postgres/database.ts';
import { takeEvents } from '../outbox/outbox.ts';
import { standingsAfter } from './derive.ts';
import { tell } from './tell.ts';
import {
  beginFeedsOf,
  fillList,
  lastUserId,
  selectUnfilled,
  selectWriters,
  tryTelling,
  updateFilled,
  updateWriters,
} from './told.sql.ts';

export interface DeriverOptions {
  readonly db: Database;
  readonly onError: (error: unknown, what: string) => void;
  /** Called after changes were told by this process. */
  readonly onTold?: () => void;
  readonly pollMs?: number;
  /** Events that one transaction takes. */
  readonly eventsAtOnce?: number;
  /** Members that one transaction goes through. */
  readonly sliceRows?: number;
}

/** What a turn found to do: nothing, or another has it; or something, and there may be more. */
type Turn = 'idle' | 'worked';

/**
 * Finds out who has entered and left, from what the writers recorded, and tells it. Every instance has one, and one at
 * a time is at work: each transaction takes the lock, or leaves the turn to who has it. All of a turn is one transaction: a
 * process that dies in the middle has told nothing, and taken nothing.
 */
export class Deriver {
  readonly #options: Required<DeriverOptions>;
  #polling: Promise<void> | undefined;
  #isStopping = false;
  #isWoken = false;
  #endPause = () => {};

  constructor(options: DeriverOptions) {
    this.#options = { onTold: () => undefined, pollMs: 250, eventsAtOnce: 1_000, sliceRows: 20_000, ...options };
  }

  start(): void {
    this.#polling ??= this.#poll();
  }

  /** Looks at once. */
  wake(): void {
    this.#isWoken = true;
    this.#endPause();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.wake();
    await this.#polling;
  }

  async #poll(): Promise<void> {
    let isFailing = false;
    while (!this.#isStopping) {
      this.#isWoken = false;
      try {
        while (!this.#isStopping && (await this.turn()) === 'worked');
        isFailing = false;
      } catch (error) {
        if (!isFailing) this.#options.onError(error, 'telling changes failed');
        isFailing = true;
      }
      if (!this.#isWoken) await this.#pause();
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#options.pollMs);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Events first: a single change does not wait for more than one slice of a large piece of work. */
  async turn(): Promise<Turn> {
    const { db, onTold, eventsAtOnce } = this.#options;
    let told = 0;
    const found = await db.transaction(async (tx): Promise<Turn> => {
      told = 0;
      if (!(await tryTelling(tx))) return 'idle';
      const events = await takeEvents(tx, eventsAtOnce);
      if (events.length > 0) {
        told = await tell(tx, await standingsAfter(tx, events));
        return 'worked';
      }
      return this.#fill(tx);
    });
    if (told > 0) onTold();
    return found;
  }

  /** Fills a segment that is followed since a short time ago, once all who may not know of it have ended. */
  async #fill(tx: Tx): Promise<Turn> {
    const unfilled = await selectUnfilled(tx);
    if (!unfilled) return 'idle';
    const { segment_id, filled_to, writers } = unfilled;
    const writing = await selectWriters(tx);
    const awaited = writers === null ? writing : writers.filter((one) => writing.includes(one));
    if (awaited.length > 0) {
      await updateWriters(tx, segment_id, awaited);
      return 'idle';
    }
    const last = await fillList(tx, segment_id, { after: filled_to, limit: this.#options.sliceRows });
    await updateFilled(tx, segment_id, last ?? lastUserId);
    if (last === undefined) await beginFeedsOf(tx, segment_id);
    return 'worked';
  }
}
