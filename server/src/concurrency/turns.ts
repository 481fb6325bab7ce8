import type { Steps } from '../segmentation/decide.ts';

/** Work in one turn of the event loop: enough for any usual call, short enough that nobody waits for an unusual one. */
const turnMs = 8;
/** Of a turn, what one stretch of work gets while others wait for theirs. */
const sliceMs = 2;

/** Resolves once everything that can run without another turn of the event loop has run. */
function settled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

/**
 * One turn of the event loop, shared by all work that can wait. Without it a hundred calls whose rows arrive together would
 * each take a turn's worth of time, and everybody else would wait for the sum.
 */
export class SharedTurn {
  readonly now: () => number;
  #endsAt: number | undefined;
  /** Those that wait for the first time go before those that have had a slice, so that short work overtakes long work. */
  readonly #newcomers: (() => void)[] = [];
  readonly #regulars: (() => void)[] = [];

  constructor(now: () => number = () => performance.now()) {
    this.now = now;
  }

  /** When the turn under way has had its time. */
  get endsAt(): number {
    return this.#endsAt ?? this.#begin();
  }

  get isAwaited(): boolean {
    return this.#newcomers.length > 0 || this.#regulars.length > 0;
  }

  /** Resolves in a later turn, when it is this caller's. */
  next({ isNewcomer }: { isNewcomer: boolean }): Promise<void> {
    if (this.#endsAt === undefined) this.#begin();
    return new Promise((resolve) => (isNewcomer ? this.#newcomers : this.#regulars).push(resolve));
  }

  #begin(): number {
    setImmediate(() => this.#end());
    this.#endsAt = this.now() + turnMs;
    return this.#endsAt;
  }

  #end(): void {
    this.#endsAt = undefined;
    if (this.isAwaited) void this.#serve(this.#begin());
  }

  async #serve(endsAt: number): Promise<void> {
    // One that waits again comes first, or newcomers without end would keep it waiting.
    let next = this.#regulars.shift() ?? this.#newcomers.shift();
    while (next) {
      next();
      await settled();
      if (this.now() > endsAt) return;
      next = this.#newcomers.shift() ?? this.#regulars.shift();
    }
  }
}

const eventLoop = new SharedTurn();

export interface TurnsOptions {
  /** The most in one go, where the work is of a kind that should cost the others even less. */
  readonly atMostMs?: number;
  readonly loop?: SharedTurn;
}

/** One stretch of work, such as all that follows from one statement: it lets others have their turn whenever its own is over. */
export class Turns {
  readonly #loop: SharedTurn;
  readonly #atMostMs: number;
  #since: number;
  #isNewcomer = true;

  constructor({ atMostMs = turnMs, loop = eventLoop }: TurnsOptions = {}) {
    this.#loop = loop;
    this.#atMostMs = atMostMs;
    this.#since = loop.now();
  }

  /** Takes the steps of a decision; a promise only where others came in between. */
  take<T>(steps: Steps<T>): T | Promise<T> {
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
      if (this.isOver) return this.#takeWithPauses(steps);
    }
  }

  async #takeWithPauses<T>(steps: Steps<T>): Promise<T> {
    await this.pause();
    return this.take(steps);
  }

  get isOver(): boolean {
    const now = this.#loop.now();
    const worked = now - this.#since;
    return now > this.#loop.endsAt || worked > this.#atMostMs || (worked > sliceMs && this.#loop.isAwaited);
  }

  async pause(): Promise<void> {
    await this.#loop.next({ isNewcomer: this.#isNewcomer });
    this.#isNewcomer = false;
    this.#since = this.#loop.now();
  }
}
