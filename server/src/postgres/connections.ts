import pg from 'pg';
import { currentParty } from '../concurrency/party.ts';
import type { Share } from '../concurrency/shares.ts';
import { CommonLane } from './common-lane.ts';
import { DatabaseAway } from './errors.ts';
import { refuseDiscardedSettings, refuseUndeclaredPooler } from './pooler.ts';
import { type OnError, Probe } from './probe.ts';

/** Limits, which have defaults. */
export interface ConnectionLimits {
  /** How long a statement may wait for a connection. */
  readonly connectWithinMs?: number;
  /** How long the server may take to answer the probe. */
  readonly probeWithinMs?: number;
}

export interface ConnectionOptions extends ConnectionLimits {
  readonly maxConnections: number;
  readonly onError: OnError;
  /** Called with each new connection before it is used. */
  readonly onConnect: (client: pg.ClientBase) => Promise<void>;
  /** The probe's query. */
  readonly ask: (client: pg.ClientBase) => Promise<unknown>;
}

export interface ConnectionSettings {
  readonly url: string;
  readonly isPooled: boolean;
  /** Milliseconds that a session allows a statement, and an idle transaction. */
  readonly statementTimeout: number;
  readonly idleInTransactionTimeout: number;
}

const defaultConnectMs = 2_000;
/** Of the connections, what is left to the fast path. */
const fastPart = 1 / 4;
const idleTimeoutMs = 30_000;
const connectionLifetimeSeconds = 3_600;

/**
 * A pool with a {@link Probe}. While the probe finds the server unreachable, new calls and those in flight fail at once with
 * {@link DatabaseAway} instead of waiting for their timeouts.
 */
export class Connections {
  readonly #options: ConnectionOptions;
  readonly #connectWithinMs: number;
  readonly #lane: CommonLane;
  /** The places of connections of the common lane that are in use. */
  readonly #common = new WeakMap<pg.PoolClient, Share>();
  readonly probe: Probe;
  #pool: pg.Pool | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { maxConnections, connectWithinMs = defaultConnectMs, probeWithinMs } = options;
    this.#connectWithinMs = connectWithinMs;
    this.probe = new Probe({ ...options, ...(probeWithinMs !== undefined && { timeoutMs: probeWithinMs }) });
    this.#lane = new CommonLane(Math.ceil(maxConnections * (1 - fastPart)), connectWithinMs);
  }

  get available(): boolean {
    return this.#pool !== undefined && !this.probe.isAway;
  }

  /** Undefined until started. */
  get pool(): pg.Pool | undefined {
    return this.#pool;
  }

  get counts(): { open: number; idle: number; waiting: number } {
    const { totalCount = 0, idleCount = 0, waitingCount = 0 } = this.#pool ?? {};
    return { open: totalCount, idle: idleCount, waiting: waitingCount + this.#lane.waiting };
  }

  async start({ url, isPooled, statementTimeout, idleInTransactionTimeout }: ConnectionSettings): Promise<void> {
    const config: pg.ClientConfig = {
      connectionString: url,
      application_name: 'kohort',
      keepAlive: true,
      ...(!isPooled && {
        statement_timeout: statementTimeout,
        idle_in_transaction_session_timeout: idleInTransactionTimeout,
      }),
    };
    await this.probe.start(config).catch(refuseUndeclaredPooler);
    if (!isPooled) await refuseDiscardedSettings(config, statementTimeout);
    this.#pool = this.#createPool(config);
  }

  #createPool(config: pg.ClientConfig): pg.Pool {
    const { maxConnections, onConnect, onError } = this.#options;
    const pool = new pg.Pool({
      ...config,
      max: maxConnections,
      connectionTimeoutMillis: this.#connectWithinMs,
      idleTimeoutMillis: idleTimeoutMs,
      maxLifetimeSeconds: connectionLifetimeSeconds,
      verify: (client, done) => void onConnect(client).then(() => done(), done),
    });
    // Without listeners, one terminated backend would end the process. The pool's listener covers idle connections. Connections in
    // use report the loss with their next statement, so their event only needs a listener.
    pool.on('connect', (client) => client.on('error', () => undefined));
    pool.on('release', (_error, client) => {
      const share = this.#common.get(client);
      this.#common.delete(client);
      if (share) this.#lane.leave(share);
    });
    pool.on('error', (error) => onError(error, 'idle connection lost'));
    return pool;
  }

  /** A connection, to be released. Those of the fast path do not pass through the common lane. */
  async acquire(isFast = false): Promise<pg.PoolClient> {
    if (!this.#pool || this.probe.isAway) throw new DatabaseAway('the database is away');
    if (isFast) return this.#connect(this.#pool);
    const share = await this.#enterLane();
    try {
      const client = await this.#connect(this.#pool);
      this.#common.set(client, share);
      return client;
    } catch (error) {
      this.#lane.leave(share);
      throw error;
    }
  }

  async #enterLane(): Promise<Share> {
    const entering = this.#lane.enter(currentParty());
    try {
      return await this.probe.unlessAway(entering);
    } catch (error) {
      entering.then((share) => this.#lane.leave(share)).catch(() => undefined);
      throw error;
    }
  }

  async #connect(pool: pg.Pool): Promise<pg.PoolClient> {
    const waiting = pool.connect();
    try {
      return await this.probe.unlessAway(waiting);
    } catch (error) {
      waiting.then((client) => client.release(true)).catch(() => undefined);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.probe.close();
    await this.#pool?.end();
  }
}
