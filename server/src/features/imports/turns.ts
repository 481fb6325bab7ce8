import { setImmediate as nextTurn } from 'node:timers/promises';

/** Work in one turn of the event loop, before calls that have come in meanwhile get theirs. */
const turnMs = 5;

/** Cuts long work into turns. */
export class Turns {
  #began = performance.now();

  get isOver(): boolean {
    return performance.now() - this.#began > turnMs;
  }

  async next(): Promise<void> {
    await nextTurn();
    this.#began = performance.now();
  }
}
