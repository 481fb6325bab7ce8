import { Pause } from '../../concurrency/pause.ts';
import type { Database } from '../../postgres/database.ts';
import { sweepExpired } from '../memberships/memberships.ts';
import { type DefinitionCache, definitionsAt } from '../segments/segments.ts';
import type { TurnSizes } from './moment.ts';
import { RulesInMemory, takeTurn } from './turn.ts';
import { type Backlog, selectBacklog } from './turn-state.sql.ts';

export interface DeriverOptions extends Partial<TurnSizes> {
  readonly db: Database;
  readonly definitions: DefinitionCache;
  readonly onError: (error: unknown, what: string) => void;
  /** Called after this process has published changes. */
  readonly onPublished?: () => void;
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
 * The relay of the outbox: derives from recorded events who has entered and left, and publishes it. Every instance runs one, and
 * an advisory lock lets one work at a time. A turn is one transaction, so a process that dies in the middle has neither taken
 * events nor published changes.
 */
export class Deriver {
  readonly #options: Required<DeriverOptions>;
  readonly #memory = new RulesInMemory();
  #polling: Promise<void> | undefined;
  #isStopping = false;
  readonly #pause = new Pause();
  #sweptAt = Number.NEGATIVE_INFINITY;
  #measuredAt = Number.NEGATIVE_INFINITY;
  /** For metrics. */
  backlog: Backlog = { events: 0, segments: 0, lag_seconds: 0 };
  published = 0;
  failures = 0;

  constructor(options: DeriverOptions) {
    this.#options = {
      onPublished: () => undefined,
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

  /** Polls at once. */
  wake(): void {
    this.#pause.wake();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.wake();
    await this.#polling;
  }

  async #poll(): Promise<void> {
    let isFailing = false;
    while (!this.#isStopping) {
      this.#pause.begin();
      try {
        while (!this.#isStopping && (await this.turn()) === 'worked') await this.#measure();
        await this.#measure();
        isFailing = false;
      } catch (error) {
        this.failures++;
        if (!isFailing) this.#options.onError(error, 'publishing changes failed');
        isFailing = true;
      }
      await this.#pause.take(this.#options.pollMs);
    }
  }

  async turn(): Promise<'idle' | 'worked'> {
    const { db, definitions, onPublished, ...sizes } = this.#options;
    await this.#sweep();
    const { current } = definitions;
    const turn = await db.transaction((tx) => takeTurn(tx, current, this.#memory, { ...sizes, outside: db }), {
      isolation: 'repeatable read',
      isBackground: true,
    });
    if (turn === 'idle') return 'idle';
    if ('revision' in turn) await definitionsAt(definitions, turn.revision, current);
    else if (turn.published > 0) {
      this.published += turn.published;
      onPublished();
    }
    return 'worked';
  }

  async #measure(): Promise<void> {
    const { db, measureEveryMs } = this.#options;
    if (performance.now() - this.#measuredAt < measureEveryMs) return;
    this.#measuredAt = performance.now();
    this.backlog = await selectBacklog(db);
  }

  /** The sweep records expiries in the outbox, so it runs more often while segments are followed. */
  async #sweep(): Promise<void> {
    const { db, sweepEveryMs } = this.#options;
    if (!this.#memory.isAny || performance.now() - this.#sweptAt < sweepEveryMs) return;
    this.#sweptAt = performance.now();
    await sweepExpired(db);
  }
}
