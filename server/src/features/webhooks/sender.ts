import { randomUUID } from 'node:crypto';
import type { Database } from '../../postgres/database.ts';
import { type FeedsContext, lastChange } from '../feeds/feeds.ts';
import { type AttemptSettings, Line } from './attempt.ts';
import { anyEnabled, claimDue, type Lease, movePositions, releaseLease, renewLeases } from './leases.sql.ts';
import { type RetryPlan, retryPlan } from './pauses.ts';
import { type Sent, sendNext } from './send-next.ts';

/** Limits, which all have defaults. */
export interface SenderLimits {
  readonly plan?: RetryPlan;
  readonly deadlineMs?: number;
  readonly pollMs?: number;
  readonly heartbeatMs?: number;
  /** After this time without a heartbeat another instance takes the webhook over. */
  readonly leaseMs?: number;
  /** How long messages in flight may take after the service is asked to stop. */
  readonly graceMs?: number;
  /** Webhooks that one process sends to at the same time. */
  readonly atOnce?: number;
  /** How many of them may be failing: their receivers may take the whole deadline. */
  readonly failingAtOnce?: number;
}

export interface SenderOptions extends SenderLimits, Pick<AttemptSettings, 'destination' | 'sealKey'> {
  readonly db: Database;
  readonly feeds: FeedsContext;
  readonly onError: (error: unknown, what: string) => void;
  /** Called after each attempt. */
  readonly onAttempt?: (isSuccess: boolean, seconds: number) => void;
}

/** The most messages to one webhook before others get their turn. */
const messagesInARow = 50;
/** The pause while a feed is being prepared. */
const notReadyMs = 1_000;
/** Webhooks that are up to date are moved past changes of other feeds after this many rows, or minutes. */
const passedOver = { rows: 500, minutes: 10 };

interface Sending {
  readonly isFailing: boolean;
  readonly lost: AbortController;
}

/**
 * Sends the changes of feeds to their webhooks. Every instance runs one. A webhook is leased by one instance at a time, which
 * sends its messages one after another. Each webhook has its own task, so webhooks do not delay one another.
 */
export class WebhookSender {
  readonly #options: Required<SenderOptions>;
  readonly #lease: Lease;
  readonly #sending = new Map<number, Sending>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #polling: Promise<void> | undefined;
  #heartbeats: NodeJS.Timeout | undefined;
  #isBeating = false;
  #isWoken = false;
  #pause = new AbortController();
  #passedOver = { id: 0, at: 0 };

  constructor(options: SenderOptions) {
    this.#options = {
      onAttempt: () => undefined,
      plan: retryPlan,
      deadlineMs: 10_000,
      pollMs: 1_000,
      heartbeatMs: 1_000,
      leaseMs: 5_000,
      graceMs: 2_000,
      atOnce: 64,
      failingAtOnce: 16,
      ...options,
    };
    this.#lease = { owner: randomUUID(), leaseMs: this.#options.leaseMs };
  }

  start(): void {
    if (this.#polling) return;
    this.#polling = this.#poll();
    this.#heartbeats = setInterval(() => this.#heartbeat(), this.#options.heartbeatMs);
  }

  /** Polls at once. */
  wake(): void {
    this.#isWoken = true;
    this.#pause.abort();
  }

  /** Starts nothing new, and gives messages in flight a grace period. The rest are sent again by another instance. */
  async stop(): Promise<void> {
    const { graceMs } = this.#options;
    this.#stop.abort(new Error('the service is stopping'));
    this.wake();
    await this.#polling;
    const timer = setTimeout(() => {
      for (const { lost } of this.#sending.values()) lost.abort(new Error('the service is stopping'));
    }, graceMs);
    await Promise.all(this.#tasks);
    clearTimeout(timer);
    clearInterval(this.#heartbeats);
  }

  async #poll(): Promise<void> {
    const { db, feeds, onError, pollMs } = this.#options;
    let isFailing = false;
    while (!this.#stop.signal.aborted) {
      this.#isWoken = false;
      this.#pause = new AbortController();
      let lastId: number | undefined;
      try {
        if (await anyEnabled(db)) lastId = await this.#moveOn();
        await this.#claim(false);
        await this.#claim(true);
        isFailing = false;
      } catch (error) {
        if (!isFailing) onError(error, 'polling for webhooks failed');
        isFailing = true;
        lastId = undefined;
      }
      if (this.#isWoken) continue;
      if (lastId === undefined) await pauseFor(pollMs, this.#pause.signal);
      else await feeds.tail.waitAfter(lastId, pollMs, this.#pause.signal);
    }
  }

  /** Returns the id of the last change of all feeds. From time to time moves webhooks that are up to date to it. */
  async #moveOn(): Promise<number> {
    const { db } = this.#options;
    const { id } = await lastChange(db);
    const { rows, minutes } = passedOver;
    const now = performance.now();
    if (id - this.#passedOver.id > rows || now - this.#passedOver.at > minutes * 60_000) {
      this.#passedOver = { id, at: now };
      await movePositions(db, { rows, minutes });
    }
    return id;
  }

  async #claim(isFailing: boolean): Promise<void> {
    const { db, atOnce, failingAtOnce } = this.#options;
    const underWay = [...this.#sending.values()].filter((one) => one.isFailing === isFailing).length;
    const limit = (isFailing ? failingAtOnce : atOnce - failingAtOnce) - underWay;
    if (limit <= 0 || this.#stop.signal.aborted) return;
    // After heartbeats were late, a lease may have expired that this process still sends under.
    const besides = [...this.#sending.keys()];
    for (const id of await claimDue(db, this.#lease, { isFailing, limit, besides })) {
      const task = this.#sendAll(id, isFailing).finally(() => {
        this.#tasks.delete(task);
        // A place is free, and new changes may have come meanwhile.
        this.wake();
      });
      this.#tasks.add(task);
    }
  }

  /** Sends the pending messages of one webhook, up to `messagesInARow`. */
  async #sendAll(id: number, isFailing: boolean): Promise<void> {
    const { db, feeds, plan, destination, sealKey, deadlineMs, onAttempt, onError } = this.#options;
    const lost = new AbortController();
    this.#sending.set(id, { isFailing, lost });
    const line = new Line({ destination, sealKey, deadlineMs });
    const context = { db, feeds, plan, owner: this.#lease.owner, line, onAttempt, stop: lost.signal };
    let sent: Sent = 'sent';
    try {
      for (let i = 0; i < messagesInARow && sent === 'sent' && !this.#stop.signal.aborted; i++) {
        sent = await sendNext(context, id);
        lost.signal.throwIfAborted();
      }
    } catch (error) {
      // The message is sent again by whichever instance leases the webhook next.
      if (!lost.signal.aborted) onError(error, `sending to webhook ${id} failed`);
      sent = 'not ready';
    } finally {
      line.close();
      // If this fails too, the lease expires.
      const laterMs = sent === 'not ready' && !this.#stop.signal.aborted ? notReadyMs : 0;
      await releaseLease(db, this.#lease.owner, id, laterMs).catch(() => undefined);
      this.#sending.delete(id);
    }
  }

  async #heartbeat(): Promise<void> {
    if (this.#sending.size === 0 || this.#isBeating) return;
    this.#isBeating = true;
    try {
      // A webhook that was released meanwhile may have been leased again, which is another sending.
      const sending = [...this.#sending];
      const ours = await renewLeases(
        this.#options.db,
        this.#lease,
        sending.map(([id]) => id),
      );
      for (const [id, { lost }] of sending) {
        if (!ours.has(id)) lost.abort(new Error('the webhook was deleted or taken over'));
      }
    } catch (error) {
      this.#options.onError(error, 'webhook heartbeat failed');
    } finally {
      this.#isBeating = false;
    }
  }
}

function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}
