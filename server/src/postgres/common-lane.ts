import { type Share, Shares } from '../concurrency/shares.ts';

interface Waiting {
  readonly begin: (share: Share) => void;
  readonly late: NodeJS.Timeout;
}

/** One party may take this many times the number of free places: of twelve, nine. */
const factor = 3;

/**
 * The share of the connections that usual statements may take. The others are left to the few statements of the fast path, which
 * therefore never wait behind hundreds of slower ones. Parties that wait take turns, so that one with thousands of statements
 * delays another by a few of them.
 */
export class CommonLane {
  readonly #shares: Shares;
  readonly #waitMs: number;
  /** Those that wait, by party. The party that was served last comes last. */
  readonly #queues = new Map<string, Set<Waiting>>();

  constructor(places: number, waitMs: number) {
    this.#shares = new Shares(places, factor);
    this.#waitMs = waitMs;
  }

  get waiting(): number {
    return this.#queues.values().reduce((sum, { size }) => sum + size, 0);
  }

  /** Takes a place, in order of arrival among those of its party. Rejects as the pool does when none comes free in time. */
  async enter(party: string): Promise<Share> {
    const share = this.#queues.has(party) ? undefined : this.#shares.take(party);
    return share ?? this.#turn(party);
  }

  leave(share: Share): void {
    this.#shares.release(share);
    // A party that gets a place moves to the end, where this loop meets it again.
    for (const [party, queue] of this.#queues) {
      const next = this.#shares.take(party);
      if (!next) continue;
      const [first] = queue;
      if (first) this.#serve(party, queue, first, next);
    }
  }

  #serve(party: string, queue: Set<Waiting>, first: Waiting, share: Share): void {
    this.#remove(party, queue, first);
    if (queue.size > 0) {
      this.#queues.delete(party);
      this.#queues.set(party, queue);
    }
    first.begin(share);
  }

  #turn(party: string): Promise<Share> {
    const queue = this.#queues.get(party) ?? new Set();
    this.#queues.set(party, queue);
    return new Promise((begin, refuse) => {
      const late = setTimeout(() => {
        this.#remove(party, queue, waiting);
        refuse(new Error('timeout exceeded when trying to connect'));
      }, this.#waitMs);
      const waiting = { begin, late };
      queue.add(waiting);
    });
  }

  #remove(party: string, queue: Set<Waiting>, waiting: Waiting): void {
    clearTimeout(waiting.late);
    queue.delete(waiting);
    if (queue.size === 0) this.#queues.delete(party);
  }
}
