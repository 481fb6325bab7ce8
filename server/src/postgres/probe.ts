import pg from 'pg';
import { DatabaseAway } from './errors.ts';

const probeEveryMs = 500;
const defaultTimeoutMs = 1_500;
/** On a busy event loop timers fire before answers that have already arrived are read, so a late answer gets one more turn. */
const busyLoopGraceMs = 250;

export type OnError = (error: Error, what: string) => void;

export interface ProbeOptions {
  readonly onError: OnError;
  readonly onConnect?: (client: pg.Client) => Promise<void>;
  /** What the server is asked. */
  readonly ask?: (client: pg.Client) => Promise<unknown>;
  /** After this time without an answer the server counts as away. */
  readonly timeoutMs?: number;
}

/**
 * Queries the server twice a second on its own connection, and so notices within about two seconds when it stops answering,
 * even when it is frozen rather than gone.
 */
export class Probe {
  readonly #onError: OnError;
  readonly #onConnect: (client: pg.Client) => Promise<void>;
  readonly #ask: (client: pg.Client) => Promise<unknown>;
  readonly #timeoutMs: number;
  #config: pg.ClientConfig = {};
  #client: pg.Client | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #isAway = false;
  /** Rejects all work that waits for the server. */
  readonly #waiting = new Set<(error: DatabaseAway) => void>();

  constructor({
    onError,
    onConnect = async () => undefined,
    ask = (client) => client.query('SELECT 1'),
    timeoutMs = defaultTimeoutMs,
  }: ProbeOptions) {
    this.#onError = onError;
    this.#onConnect = onConnect;
    this.#ask = ask;
    this.#timeoutMs = timeoutMs;
  }

  get isAway(): boolean {
    return this.#isAway || this.#closed;
  }

  /** Rejects when the server does not answer; otherwise keeps probing until {@link close}. */
  async start(config: pg.ClientConfig): Promise<void> {
    this.#config = config;
    await this.#check();
    const heartbeat = async () => {
      await this.#check().catch(() => undefined);
      if (!this.#closed) this.#timer = setTimeout(heartbeat, probeEveryMs);
    };
    this.#timer = setTimeout(heartbeat, probeEveryMs);
  }

  /** Rejects as soon as the server is found unreachable, whatever the work is waiting for. */
  unlessAway<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#isAway) {
        work.catch(() => undefined);
        return reject(new DatabaseAway('the database is away'));
      }
      this.#waiting.add(reject);
      work.then(resolve, reject).finally(() => this.#waiting.delete(reject));
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#client?.end().catch(() => undefined);
    this.#client = undefined;
  }

  async #askWithin(): Promise<void> {
    try {
      if (!this.#client) {
        this.#client = await this.#connect();
        await withTimeout(this.#onConnect(this.#client), this.#timeoutMs);
      }
      await withTimeout(this.#ask(this.#client), this.#timeoutMs);
    } catch (error) {
      this.#client?.end().catch(() => undefined);
      this.#client = undefined;
      throw error;
    }
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({
      ...this.#config,
      connectionTimeoutMillis: this.#timeoutMs,
      application_name: 'kohort-probe',
    });
    client.on('error', () => {
      if (this.#client === client) this.#client = undefined;
    });
    await client.connect();
    return client;
  }

  async #check(): Promise<void> {
    const isReused = this.#client !== undefined;
    try {
      // A lost connection says nothing about the server: a new one is tried before the server counts as unreachable.
      await this.#askWithin().catch((error) => {
        if (!isReused || error instanceof DatabaseAway) throw error;
        return this.#askWithin();
      });
      this.#isAway = false;
    } catch (error) {
      this.#markAway(error);
      throw error;
    }
  }

  #markAway(cause: unknown): void {
    if (this.isAway) return;
    this.#isAway = true;
    for (const reject of this.#waiting) reject(new DatabaseAway('the database went away'));
    this.#onError(cause instanceof Error ? cause : new Error(String(cause)), 'database away');
  }
}

async function withTimeout<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const expire = () => reject(new DatabaseAway('the probe was not answered'));
    timer = setTimeout(() => setTimeout(expire, busyLoopGraceMs), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
