import { finished } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { Sql } from 'sql-template-tag';
import { CommitUnknown, DatabaseAway, isConnectionLost } from './errors.ts';
import { type OnError, Probe } from './probe.ts';
import { queryConfig, type Statement, tupleConfig } from './statement.ts';
import { beginText, retrying, runTransaction, type TransactionOptions } from './transaction.ts';

/** Whatever runs a statement: the database itself, or a transaction on it. */
export interface Db {
  /** A statement that changes nothing. */
  query<Row extends object>(statement: Sql | Statement): Promise<Row[]>;
  /** Each row a tuple of its columns: cheaper, for hot statements. */
  rows<Row extends unknown[]>(statement: Sql | Statement): Promise<Row[]>;
  /**
   * A statement that changes rows.
   * @throws CommitUnknown when it commits itself, and the connection was lost meanwhile.
   */
  write<Row extends object>(statement: Sql | Statement): Promise<Row[]>;
}

/** Begins a transaction or, where there is one already, is part of it. */
export interface Transactor extends Db {
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}

export interface Tx extends Transactor {
  /** Marks the type: a verb that needs several statements to hold together asks for a `Tx`. */
  readonly inTransaction: true;
}

export interface DatabaseOptions {
  readonly maxConnections: number;
  /** Milliseconds a statement may take before PostgreSQL cancels it. */
  readonly statementTimeout: number;
  readonly onError: OnError;
}

const connectTimeoutMs = 2_000;
const idleTimeoutMs = 30_000;
const idleInTransactionTimeoutMs = 30_000;
const connectionLifetimeSeconds = 3_600;

/**
 * The one door to PostgreSQL: a pool, and a {@link Probe} beside it. While the probe finds the server away, calls, and
 * everything in flight, fail at once with {@link DatabaseAway} instead of waiting out their timeouts.
 */
export class Database implements Transactor {
  readonly #options: DatabaseOptions;
  readonly #probe: Probe;
  #pool: pg.Pool | undefined;

  constructor(options: DatabaseOptions) {
    this.#options = options;
    this.#probe = new Probe(options.onError);
  }

  get available(): boolean {
    return this.#pool !== undefined && !this.#probe.isAway;
  }

  get connections(): { open: number; idle: number; waiting: number } {
    const { totalCount = 0, idleCount = 0, waitingCount = 0 } = this.#pool ?? {};
    return { open: totalCount, idle: idleCount, waiting: waitingCount };
  }

  /**
   * Connects, and begins to watch the server. Rejects when it does not answer, and may then be called again; once it has
   * succeeded, calling it again does nothing. Until then every call finds the database away.
   */
  async start(url: string): Promise<void> {
    if (this.#pool) return;
    const config: pg.ClientConfig = {
      connectionString: url,
      application_name: 'kohort',
      statement_timeout: this.#options.statementTimeout,
      idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
      keepAlive: true,
    };
    await this.#probe.start(config);
    this.#pool = new pg.Pool({
      ...config,
      max: this.#options.maxConnections,
      connectionTimeoutMillis: connectTimeoutMs,
      idleTimeoutMillis: idleTimeoutMs,
      maxLifetimeSeconds: connectionLifetimeSeconds,
    });
    // Without listeners one terminated backend would end the process. The pool's is for idle connections only; those in use
    // report the loss with their next statement, so here their event only has to be heard.
    this.#pool.on('connect', (client) => client.on('error', () => undefined));
    this.#pool.on('error', (error) => this.#options.onError(error, 'idle connection lost'));
  }

  query<Row extends object>(statement: Sql | Statement): Promise<Row[]> {
    const config = queryConfig(statement, this.#options.statementTimeout);
    return this.#withClient(async (client) => (await this.#probe.unlessAway(client.query<Row>(config))).rows);
  }

  rows<Row extends unknown[]>(statement: Sql | Statement): Promise<Row[]> {
    const config = tupleConfig(statement, this.#options.statementTimeout);
    return this.#withClient(async (client) => (await this.#probe.unlessAway(client.query<Row>(config))).rows);
  }

  write<Row extends object>(statement: Sql | Statement): Promise<Row[]> {
    const config = queryConfig(statement, this.#options.statementTimeout);
    return this.#withClient(async (client) => {
      try {
        return (await this.#probe.unlessAway(client.query<Row>(config))).rows;
      } catch (error) {
        // A statement on its own commits itself; that it was sent is all we know.
        if (isConnectionLost(error)) throw new CommitUnknown('connection lost during a change', { cause: error });
        throw error;
      }
    });
  }

  /**
   * Runs `work` in one transaction and commits it. Deadlocks and serialization failures are retried, whole, with jitter; so
   * `work` must not have effects outside the database.
   * @throws CommitUnknown when the connection was lost while the commit was under way.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const timeoutMs = options.statementTimeout ?? this.#options.statementTimeout;
    return retrying(async () => runTransaction(await this.#acquire(), this.#probe, work, timeoutMs, options));
  }

  /** Sends lines in the text format to a `COPY … FROM STDIN`. */
  copyIn(statement: string, lines: Buffer): Promise<void> {
    return this.#withClient(async (client) => {
      const copy = client.query(copyFrom(statement));
      // In one piece: of several, the library would go on with the next one, and throw where nothing catches it, when the
      // server has refused while the socket was full.
      copy.end(lines);
      await this.#probe.unlessAway(finished(copy));
    });
  }

  /**
   * The rows of a query of any size, a batch at a time, as of one moment and in constant memory. Holds a connection until the
   * last batch was taken, or the loop over it is left.
   */
  async *stream<Row extends object>(
    { text, values }: Sql | Statement,
    { batch, statementTimeout }: { batch: number; statementTimeout: number },
  ): AsyncGenerator<Row[], void, undefined> {
    const client = await this.#acquire();
    const run = (statement: string, parameters: unknown[] = []) =>
      this.#probe.unlessAway(client.query<Row>(queryConfig({ text: statement, values: parameters }, statementTimeout)));
    let healthy = false;
    try {
      await run(beginText({ isolation: 'repeatable read', readOnly: true, statementTimeout }));
      await run(`DECLARE streamed NO SCROLL CURSOR FOR ${text}`, values);
      for (;;) {
        const { rows } = await run(`FETCH ${Math.trunc(batch)} FROM streamed`);
        if (rows.length > 0) yield rows;
        if (rows.length < batch) break;
      }
      healthy = true;
    } finally {
      // However it ended, nothing was written: the connection is good again once the transaction is over.
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

  async #acquire(): Promise<pg.PoolClient> {
    if (!this.#pool || this.#probe.isAway) throw new DatabaseAway('the database is away');
    const waiting = this.#pool.connect();
    try {
      return await this.#probe.unlessAway(waiting);
    } catch (error) {
      waiting.then((client) => client.release(true)).catch(() => undefined);
      throw error;
    }
  }

  async #withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#acquire();
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
