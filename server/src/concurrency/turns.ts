import type { Steps } from '../segmentation/steps.ts';

/** Work per turn of the event loop: enough for any usual call, short enough that an unusual one does not delay others. */
const turnMs = 8;
/** The slice of a turn that one piece of work gets while others wait. */
const sliceMs = 2;

/** Resolves once everything that can run without another turn of the event loop has run. */
function settled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

/**
 * One turn of the event loop, shared by all work that can wait. Without it a hundred calls whose rows arrive together would each
 * take a full turn, and all other calls would wait for the sum.
 */
export class SharedTurn {
  readonly now: () => number;
  #endsAt: number | undefined;
  /** Work that waits for its first slice goes before work that has had one, so that short work overtakes long work. */
  readonly #newcomers: (() => void)[] = [];
  readonly #regulars: (() => void)[] = [];

  constructor(now: () => number = () => performance.now()) {
    this.now = now;
  }

  /** When the current turn ends. */
  get endsAt(): number {
    return this.#endsAt ?? this.#begin();
  }

  get isAwaited(): boolean {
    return this.#newcomers.length > 0 || this.#regulars.length > 0;
  }

  /** Resolves in a later turn, when this caller gets its slice. */
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
    // A turn starts with one piece of work that has had a slice, or a stream of new work would starve those.
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
  /** The most per slice, for work that should delay others even less. */
  readonly atMostMs?: number;
  readonly loop?: SharedTurn;
}

/** One piece of work, such as all rows of one statement. It yields to other work whenever its slice is used up. */
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

  /** Runs the steps of a decision. Returns a promise only if it had to yield. */
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
