import { finished } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { Sql } from 'sql-template-tag';
import { CommonLane } from './common-lane.ts';
import { CommitUnknown, DatabaseAway, isConnectionLost } from './errors.ts';
import { cancelLate, refuseDiscardedSettings, refuseUndeclaredPooler } from './pooler.ts';
import { type OnError, Probe } from './probe.ts';
import { queryConfig, type Sending, type Statement, tupleConfig } from './statement.ts';
import { timelineOf } from './timeline.ts';
import { beginText, hasChanged, retrying, runTransaction, type TransactionOptions } from './transaction.ts';

/** Runs statements: the database itself or a transaction on it. */
export interface Db {
  /** A statement that changes nothing. */
  query<Row extends object>(statement: Sql | Statement): Promise<Row[]>;
  /** Returns each row as a tuple of its columns, which is cheaper for frequent statements. */
  rows<Row extends unknown[]>(statement: Sql | Statement): Promise<Row[]>;
  /**
   * A statement that changes rows.
   * @throws CommitUnknown when it commits by itself and the connection is lost meanwhile.
   */
  write<Row extends object>(statement: Sql | Statement): Promise<Row[]>;
}

/** Begins a transaction or joins the current one. */
export interface Transactor extends Db {
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}

export interface Tx extends Transactor {
  /** Marks the type: a function that needs several statements to be atomic takes a `Tx`. */
  readonly inTransaction: true;
}

export interface DatabaseOptions {
  readonly maxConnections: number;
  /** Milliseconds a statement may take before PostgreSQL cancels it. */
  readonly statementTimeout: number;
  readonly onError: OnError;
}

export interface Route {
  /**
   * Whether a pooler in transaction mode stands between. Then nothing outlives a transaction: limits are set in each
   * transaction, or kept by the client for a statement on its own, and no statement is prepared by name.
   */
  readonly isPooled: boolean;
}

const connectTimeoutMs = 2_000;
/** Of the connections, what is left to the fast path. */
const fastPart = 1 / 4;
const idleTimeoutMs = 30_000;
const idleInTransactionTimeoutMs = 30_000;
const connectionLifetimeSeconds = 3_600;

/** The fast path, and the look-ups of who calls, prepare their statements by name and send only so many at a time. */
function isOfFastPath(statement: Sql | Statement): boolean {
  return 'name' in statement && statement.name !== undefined;
}

/**
 * The only access to PostgreSQL: a pool with a {@link Probe}. While the probe finds the server unreachable, new calls and
 * those in flight fail at once with {@link DatabaseAway} instead of waiting for their timeouts.
 */
export class Database implements Transactor {
  readonly #options: DatabaseOptions;
  readonly #probe: Probe;
  readonly #lane: CommonLane;
  /** Those of the common lane that are in use. */
  readonly #common = new WeakSet<pg.PoolClient>();
  #pool: pg.Pool | undefined;
  #isPooled = false;
  #acknowledged = 0;
  #timeline: string | undefined;
  readonly #failoverListeners: (() => void)[] = [];

  constructor(options: DatabaseOptions) {
    this.#options = options;
    this.#probe = new Probe(options.onError, (client) => this.#recognise(client));
    this.#lane = new CommonLane(Math.ceil(options.maxConnections * (1 - fastPart)), connectTimeoutMs);
  }

  get available(): boolean {
    return this.#pool !== undefined && !this.#probe.isAway;
  }

  /** How many changes have been committed through this. */
  get acknowledgedWrites(): number {
    return this.#acknowledged;
  }

  /**
   * Calls `listener` when another server has taken over, which may lack the last changes: before anything is read from it, or
   * behind a pooler once the probe has noticed.
   */
  onFailover(listener: () => void): void {
    this.#failoverListeners.push(listener);
  }

  get connections(): { open: number; idle: number; waiting: number } {
    const { totalCount = 0, idleCount = 0, waitingCount = 0 } = this.#pool ?? {};
    return { open: totalCount, idle: idleCount, waiting: waitingCount + this.#lane.waiting };
  }

  /**
   * Connects and starts the probe. Rejects when the server does not answer, and may then be called again; after a success,
   * calling it again does nothing. Until then every call fails with {@link DatabaseAway}.
   */
  async start(url: string, { isPooled }: Route = { isPooled: false }): Promise<void> {
    if (this.#pool) return;
    this.#isPooled = isPooled;
    const { statementTimeout } = this.#options;
    const config: pg.ClientConfig = {
      connectionString: url,
      application_name: 'kohort',
      keepAlive: true,
      ...(!isPooled && {
        statement_timeout: statementTimeout,
        idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
      }),
    };
    await this.#probe.start(config).catch(refuseUndeclaredPooler);
    if (!isPooled) await refuseDiscardedSettings(config, statementTimeout);
    this.#pool = new pg.Pool({
      ...config,
      max: this.#options.maxConnections,
      connectionTimeoutMillis: connectTimeoutMs,
      idleTimeoutMillis: idleTimeoutMs,
      maxLifetimeSeconds: connectionLifetimeSeconds,
      verify: (client, done) => void this.#recognise(client).then(() => done(), done),
    });
    // Without listeners, one terminated backend would end the process. The pool's listener covers idle connections. Connections in
    // use report the loss with their next statement, so their event only needs a listener.
    this.#pool.on('connect', (client) => client.on('error', () => undefined));
    this.#pool.on('release', (_error, client) => {
      if (this.#common.delete(client)) this.#lane.leave();
    });
    this.#pool.on('error', (error) => this.#options.onError(error, 'idle connection lost'));
  }

  query<Row extends object>(statement: Sql | Statement): Promise<Row[]> {
    const config = queryConfig(statement, this.#sending());
    return this.#withClient(
      async (client) => (await this.#send(client, () => client.query<Row>(config))).rows,
      isOfFastPath(statement),
    );
  }

  rows<Row extends unknown[]>(statement: Sql | Statement): Promise<Row[]> {
    const config = tupleConfig(statement, this.#sending());
    return this.#withClient(
      async (client) => (await this.#send(client, () => client.query<Row>(config))).rows,
      isOfFastPath(statement),
    );
  }

  write<Row extends object>(statement: Sql | Statement): Promise<Row[]> {
    const config = queryConfig(statement, this.#sending());
    return this.#withClient(async (client) => {
      try {
        const result = await this.#send(client, () => client.query<Row>(config));
        if (hasChanged(result)) this.#acknowledged++;
        return result.rows;
      } catch (error) {
        // A single statement commits by itself; we only know that it was sent.
        if (isConnectionLost(error)) throw new CommitUnknown('connection lost during a change', { cause: error });
        throw error;
      }
    }, isOfFastPath(statement));
  }

  /**
   * Runs `work` in one transaction and commits it. After a deadlock or serialization failure the whole is retried with jitter, so
   * `work` must not have effects outside the database.
   * @throws CommitUnknown when the connection was lost during the commit.
   */
  async transaction<T>(work: (tx: Tx) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const sending = this.#sending(options.statementTimeout);
    const limited = this.#limited(options);
    const { result, hasWritten } = await retrying(async () =>
      runTransaction(await this.#acquire(), this.#probe, work, sending, limited),
    );
    if (hasWritten && !options.isBackground) this.#acknowledged++;
    return result;
  }

  /** Sends lines in text format to a `COPY … FROM STDIN`. */
  copyIn(statement: string, lines: Buffer): Promise<void> {
    return this.#withClient(async (client) => {
      await this.#send(client, () => {
        const copy = client.query(copyFrom(statement));
        // In one chunk: with several, the library would continue after the server has refused while the socket was full, and
        // throw where nothing catches it.
        copy.end(lines);
        return finished(copy);
      });
      this.#acknowledged++;
    });
  }

  /**
   * Yields the rows of a query of any size in batches, as of one moment and in constant memory. Occupies a connection until the
   * last batch was consumed or the loop is left.
   */
  async *stream<Row extends object>(
    { text, values }: Sql | Statement,
    { batch, statementTimeout }: { batch: number; statementTimeout: number },
  ): AsyncGenerator<Row[], void, undefined> {
    const client = await this.#acquire();
    const run = (statement: string, parameters: unknown[] = []) =>
      this.#probe.unlessAway(
        client.query<Row>(queryConfig({ text: statement, values: parameters }, this.#sending(statementTimeout))),
      );
    let healthy = false;
    try {
      await run(beginText(this.#limited({ isolation: 'repeatable read', readOnly: true, statementTimeout })));
      await run(`DECLARE streamed NO SCROLL CURSOR FOR ${text}`, values);
      for (;;) {
        const { rows } = await run(`FETCH ${Math.trunc(batch)} FROM streamed`);
        if (rows.length > 0) yield rows;
        if (rows.length < batch) break;
      }
      healthy = true;
    } finally {
      // Nothing was written, so the connection can be reused once the transaction has ended.
      const ended = await run(healthy ? 'COMMIT' : 'ROLLBACK').then(
        () => true,
        () => false,
      );
      client.release(!ended);
    }
  }

  async close(): Promise<void> {
    await this.#probe.close();
    await this.#pool?.end();
  }

  async #recognise(client: pg.ClientBase): Promise<void> {
    const timeline = await timelineOf(client);
    if (timeline === undefined || timeline === this.#timeline) return;
    const isOther = this.#timeline !== undefined;
    this.#timeline = timeline;
    if (isOther) for (const listener of this.#failoverListeners) listener();
  }

  #sending(timeoutMs = this.#options.statementTimeout): Sending {
    return { timeoutMs, keepsPrepared: !this.#isPooled };
  }

  /** The limits of a transaction whose session has none. */
  #limited(options: TransactionOptions): TransactionOptions {
    if (!this.#isPooled) return options;
    return { statementTimeout: this.#options.statementTimeout, idleTimeout: idleInTransactionTimeoutMs, ...options };
  }

  /** Sends a statement that stands on its own. */
  #send<T>(client: pg.PoolClient, run: () => Promise<T>): Promise<T> {
    const work = run();
    return this.#probe.unlessAway(this.#isPooled ? cancelLate(client, work, this.#options.statementTimeout) : work);
  }

  async #acquire(isFast = false): Promise<pg.PoolClient> {
    if (!this.#pool || this.#probe.isAway) throw new DatabaseAway('the database is away');
    if (isFast) return this.#connect(this.#pool);
    await this.#enterLane();
    try {
      const client = await this.#connect(this.#pool);
      this.#common.add(client);
      return client;
    } catch (error) {
      this.#lane.leave();
      throw error;
    }
  }

  async #enterLane(): Promise<void> {
    const entering = this.#lane.enter();
    try {
      await this.#probe.unlessAway(entering);
    } catch (error) {
      entering.then(() => this.#lane.leave()).catch(() => undefined);
      throw error;
    }
  }

  async #connect(pool: pg.Pool): Promise<pg.PoolClient> {
    const waiting = pool.connect();
    try {
      return await this.#probe.unlessAway(waiting);
    } catch (error) {
      waiting.then((client) => client.release(true)).catch(() => undefined);
      throw error;
    }
  }

  async #withClient<T>(work: (client: pg.PoolClient) => Promise<T>, isFast = false): Promise<T> {
    const client = await this.#acquire(isFast);
    try {
      const result = await work(client);
      client.release();
      return result;
    } catch (error) {
      client.release(error instanceof CommitUnknown || isConnectionLost(error));
      throw error;
    }
  }
}
