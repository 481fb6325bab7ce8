import { setImmediate as othersTurn } from 'node:timers/promises';
import type { Steps } from '../segmentation/decide.ts';

/** Long enough for any usual call, short enough that other calls do not wait for an unusual one. */
const turnMs = 8;

/**
 * Shares the event loop: whatever goes on for longer than a turn lets others have theirs. One serves all users of a statement,
 * which are one stretch of work.
 */
export class Turns {
  #endsAt = performance.now() + turnMs;

  /** Takes the steps of a decision; a promise only where others came in between. */
  take<T>(steps: Steps<T>): T | Promise<T> {
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
      if (performance.now() > this.#endsAt) return this.#takeWithPauses(steps);
    }
  }

  async #takeWithPauses<T>(steps: Steps<T>): Promise<T> {
    await this.pause();
    return this.take(steps);
  }

  get isOver(): boolean {
    return performance.now() > this.#endsAt;
  }

  async pause(): Promise<void> {
    await othersTurn();
    this.#endsAt = performance.now() + turnMs;
  }
}
