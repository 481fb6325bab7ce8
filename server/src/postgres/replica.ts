import { setTimeout as sleep } from 'node:timers/promises';
import type { Consistency } from '@kohort/contract';
import { type Coalesced, coalesce } from './batch.ts';
import type { Database } from './database.ts';
import { isConnectionLost, isRetryable, sqlState } from './errors.ts';
import { selectReplayed, selectWritten, type Written } from './replica.sql.ts';

/** Why the primary answers in the replica's place. */
export type Fallback = 'distributed' | 'away' | 'promoted' | 'other_timeline' | 'behind' | 'failed';

export interface ReplicaLimits {
  /** The oldest that an eventual answer may be. */
  readonly maxAgeMs: number;
  /** How long a read waits for the replica to catch up. */
  readonly catchUpMs: number;
  readonly sampleEveryMs: number;
}

export interface ReplicaOptions {
  readonly primary: Database;
  readonly replica: Database;
  /** Whether all writes of this instance go through `primary`; they do not with several processes on one port. */
  readonly seesAllWrites: boolean;
  readonly limits?: Partial<ReplicaLimits>;
  readonly onError?: (error: unknown, what: string) => void;
  readonly observe?: (answeredBy: 'replica' | Fallback) => void;
}

const defaultLimits: ReplicaLimits = { maxAgeMs: 5_000, catchUpMs: 250, sampleEveryMs: 250 };
const catchUpPollMs = 5;
const connectEveryMs = 1_000;
const undefinedTable = '42P01';
const undefinedColumn = '42703';

interface Sample extends Written {
  /** When it was asked for: everything acknowledged by then lies before it. */
  readonly at: number;
  /** The writes that this process had acknowledged by then. */
  readonly writes: number;
}

/** What a replica fails by that does not say anything about the question. */
export function isReplicasFault(error: unknown): boolean {
  const state = sqlState(error);
  // A query that conflicts with what has to be replayed is cancelled; the schema may be a migration behind.
  return isConnectionLost(error) || isRetryable(error) || state === undefinedTable || state === undefinedColumn;
}

/**
 * A streaming replica that reads may go to. It is trusted by log position, not by clock: a read goes there when the replica has
 * replayed what the primary had written when it mattered; otherwise, or when it fails, the primary answers.
 */
export class Replica {
  readonly #options: ReplicaOptions;
  readonly #limits: ReplicaLimits;
  readonly #sample: Coalesced<null, Sample>;
  /** Of the last seconds, oldest first. */
  #samples: Sample[] = [];
  /** The lowest position known to cover the writes of this process. */
  #covering: Sample | undefined;
  #stop = new AbortController();
  #age = Number.POSITIVE_INFINITY;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#sample = coalesce({
      run: async (asks) => {
        const sample = await this.#takeSample();
        return asks.map(() => sample);
      },
      maxBatch: 1_000,
      concurrency: 1,
      maxWaiting: 10_000,
    });
  }

  /** Seconds by which the replica was behind when last looked at; infinite while that is unknown. */
  get ageSeconds(): number {
    return this.#age / 1000;
  }

  /** Begins to follow it; the primary answers until it is reached. */
  start(url: string, { isPooled }: { readonly isPooled: boolean }): void {
    void this.#keepConnecting(url, isPooled);
    void this.#keepSampling();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#options.replica.close();
  }

  /** Has the replica answer where it may, and the primary otherwise. */
  async read<T>(consistency: Consistency, onReplica: () => Promise<T>, onPrimary: () => Promise<T>): Promise<T> {
    if (consistency === 'strong') return onPrimary();
    const { observe = () => undefined } = this.#options;
    const fallback = await this.#obstacleTo(consistency);
    if (fallback === undefined) {
      try {
        const answer = await onReplica();
        observe('replica');
        return answer;
      } catch (error) {
        if (!isReplicasFault(error)) throw error;
        observe('failed');
      }
    } else {
      observe(fallback);
    }
    return onPrimary();
  }

  async #obstacleTo(consistency: 'usual' | 'eventual'): Promise<Fallback | undefined> {
    const { primary, replica } = this.#options;
    // Since this process started, which refuses to start so.
    if (primary.isDistributed) return 'distributed';
    if (!replica.available) return 'away';
    const target = await this.#targetOf(consistency);
    const until = performance.now() + this.#limits.catchUpMs;
    for (;;) {
      const replayed = await selectReplayed(replica).catch(() => undefined);
      if (!replayed) return 'away';
      if (!replayed.isReplica) return 'promoted';
      if (replayed.timeline !== target.timeline || replayed.system !== target.system) return 'other_timeline';
      const isYoung = consistency === 'usual' || this.#ageAt(replayed.position) <= this.#limits.maxAgeMs;
      if (replayed.position >= target.position && isYoung) return undefined;
      if (performance.now() >= until) return 'behind';
      await sleep(catchUpPollMs);
    }
  }

  /** What the replica has to have replayed. */
  async #targetOf(consistency: 'usual' | 'eventual'): Promise<Sample> {
    const { primary, seesAllWrites } = this.#options;
    const covering = this.#covering;
    const isCovered = covering !== undefined && covering.writes >= primary.acknowledgedWrites;
    return consistency === 'eventual' && seesAllWrites && isCovered ? covering : this.#sample(null);
  }

  async #takeSample(): Promise<Sample> {
    const { primary } = this.#options;
    const [at, writes] = [performance.now(), primary.acknowledgedWrites];
    const sample = { at, writes, ...(await selectWritten(primary)) };
    const isSameLog = this.#covering?.timeline === sample.timeline && this.#covering.system === sample.system;
    if (!isSameLog) this.#samples = [];
    if (!isSameLog || writes > (this.#covering?.writes ?? -1)) this.#covering = sample;
    // One older than the limit stays, for a replica that is about as old.
    while (this.#samples[1] && this.#samples[1].at < at - this.#limits.maxAgeMs) this.#samples.shift();
    this.#samples.push(sample);
    return sample;
  }

  /** Milliseconds for which the primary may have written what is not replayed. */
  #ageAt(position: number): number {
    const newest = this.#samples.findLast((sample) => sample.position <= position);
    return newest ? performance.now() - newest.at : Number.POSITIVE_INFINITY;
  }

  async #keepConnecting(url: string, isPooled: boolean): Promise<void> {
    const { signal } = this.#stop;
    const { onError = () => undefined } = this.#options;
    for (let attempt = 1; !signal.aborted; attempt++) {
      const isConnected = await this.#options.replica.start(url, { isPooled }).then(
        () => true,
        (error) => {
          if (attempt === 1) onError(error, 'the replica cannot be used yet');
          return false;
        },
      );
      if (isConnected) return;
      await sleep(connectEveryMs, undefined, { ref: false, signal }).catch(() => undefined);
    }
  }

  async #keepSampling(): Promise<void> {
    const { signal } = this.#stop;
    const { replica } = this.#options;
    while (!signal.aborted) {
      await this.#sample(null).catch(() => undefined);
      const replayed = replica.available ? await selectReplayed(replica).catch(() => undefined) : undefined;
      this.#age = replayed?.isReplica ? this.#ageAt(replayed.position) : Number.POSITIVE_INFINITY;
      await sleep(this.#limits.sampleEveryMs, undefined, { ref: false, signal }).catch(() => undefined);
    }
  }
}
