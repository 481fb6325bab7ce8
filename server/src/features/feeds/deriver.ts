import type { Database } from '../../postgres/database.ts';
import { sweepExpired } from '../memberships/memberships.ts';
import { type DefinitionCache, definitionsAt } from '../segments/segments.ts';
import type { TurnSizes } from './moment.ts';
import { type Backlog, selectBacklog } from './told.sql.ts';
import { RulesInMemory, takeTurn } from './turn.ts';

export interface DeriverOptions extends Partial<TurnSizes> {
  readonly db: Database;
  readonly definitions: DefinitionCache;
  readonly onError: (error: unknown, what: string) => void;
  /** Called after changes were told by this process. */
  readonly onTold?: () => void;
  readonly pollMs?: number;
  readonly sweepEveryMs?: number;
  readonly measureEveryMs?: number;
}

const sizesByDefault: TurnSizes = {
  eventsAtOnce: 1_000,
  bulkEventsAtOnce: 5_000,
  sliceRows: 10_000,
  usersAtOnce: 2_000,
};

/**
 * Finds out who has entered and left, from what the writers recorded, and tells it. Every instance has one, and one at
 * a time is at work: each transaction takes the lock, or leaves the turn to who has it. All of a turn is one transaction: a
 * process that dies in the middle has told nothing, and taken nothing.
 */
export class Deriver {
  readonly #options: Required<DeriverOptions>;
  readonly #memory = new RulesInMemory();
  #polling: Promise<void> | undefined;
  #isStopping = false;
  #isWoken = false;
  #sweptAt = Number.NEGATIVE_INFINITY;
  #measuredAt = Number.NEGATIVE_INFINITY;
  /** For metrics. */
  backlog: Backlog = { events: 0, segments: 0, lag_seconds: 0 };
  told = 0;
  failures = 0;
  #endPause = () => {};

  constructor(options: DeriverOptions) {
    this.#options = {
      onTold: () => undefined,
      pollMs: 250,
      sweepEveryMs: 500,
      measureEveryMs: 2_000,
      ...sizesByDefault,
      ...options,
    };
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
        while (!this.#isStopping && (await this.turn()) === 'worked') await this.#measure();
        await this.#measure();
        isFailing = false;
      } catch (error) {
        this.failures++;
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

  async turn(): Promise<'idle' | 'worked'> {
    const { db, definitions, onTold, ...sizes } = this.#options;
    await this.#sweep();
    const { current } = definitions;
    const turn = await db.transaction((tx) => takeTurn(tx, current, this.#memory, sizes), {
      isolation: 'repeatable read',
      isBackground: true,
    });
    if (turn === 'idle') return 'idle';
    if ('revision' in turn) await definitionsAt(definitions, turn.revision, current);
    else if (turn.told > 0) {
      this.told += turn.told;
      onTold();
    }
    return 'worked';
  }

  async #measure(): Promise<void> {
    const { db, measureEveryMs } = this.#options;
    if (performance.now() - this.#measuredAt < measureEveryMs) return;
    this.#measuredAt = performance.now();
    this.backlog = await selectBacklog(db);
  }

  /** What has expired is swept sooner than it would be if nobody followed: the sweep records it. */
  async #sweep(): Promise<void> {
    const { db, sweepEveryMs } = this.#options;
    if (!this.#memory.isAny || performance.now() - this.#sweptAt < sweepEveryMs) return;
    this.#sweptAt = performance.now();
    await sweepExpired(db);
  }
}
