import { finished } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { Sql } from 'sql-template-tag';
import { type ConnectionLimits, Connections } from './connections.ts';
import { CommitUnknown, isConnectionLost, OtherForm } from './errors.ts';
import { cancelLate } from './pooler.ts';
import { rowsOn } from './prepared-rows.ts';
import type { OnError } from './probe.ts';
import { ServerState } from './server-state.ts';
import { queryConfig, type Sending, type Statement } from './statement.ts';
import { streamRows } from './stream.ts';
import { beginText, hasChanged, retrying, runTransaction, type TransactionOptions } from './transaction.ts';

/** Runs statements: the database itself or a transaction on it. */
export interface Db {
  /** Whether the tables are distributed over Citus, which takes other forms of some statements: `inForm`. */
  readonly isDistributed: boolean;
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

export interface DatabaseOptions extends ConnectionLimits {
  readonly maxConnections: number;
  /** Milliseconds a statement may take before PostgreSQL cancels it. */
  readonly statementTimeout: number;
  readonly onError: OnError;
  /** Writes have been stopped, or go on. */
  readonly onWriteStop?: (isStopped: boolean) => void;
}

export interface StreamOptions {
  /** Rows at a time. */
  readonly batch: number;
  readonly statementTimeout: number;
}

export interface Route {
  /**
   * Whether a pooler in transaction mode stands between. Then nothing outlives a transaction: limits are set in each
   * transaction, or kept by the client for a statement on its own, and no statement is prepared by name.
   */
  readonly isPooled: boolean;
}

const idleInTransactionTimeoutMs = 30_000;

/** The fast path, and the look-ups of who calls, prepare their statements by name and send only so many at a time. */
function isOfFastPath(statement: Sql | Statement): boolean {
  return 'name' in statement && statement.name !== undefined;
}

/** The only access to PostgreSQL. While the server cannot be reached, calls fail at once with `DatabaseAway`. */
export class Database implements Transactor {
  readonly #options: DatabaseOptions;
  readonly #state: ServerState;
  readonly #connections: Connections;
  #isPooled = false;
  #acknowledged = 0;

  constructor(options: DatabaseOptions) {
    this.#options = options;
    this.#state = new ServerState(options.onWriteStop);
    this.#connections = new Connections({
      ...options,
      onConnect: (client) => this.#state.recognise(client),
      ask: (client) => this.#state.lookForWriteStop(client),
    });
  }

  get available(): boolean {
    return this.#connections.available;
  }

  get isDistributed(): boolean {
    return this.#state.isDistributed;
  }

  /** Whether changes are refused, with `WritesStopped`, since the database is being distributed. */
  get areWritesStopped(): boolean {
    return this.#state.areWritesStopped;
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
    this.#state.onFailover(listener);
  }

  get connections(): { open: number; idle: number; waiting: number } {
    return this.#connections.counts;
  }

  /**
   * Connects and starts the probe. Rejects when the server does not answer, and may then be called again; after a success,
   * calling it again does nothing. Until then every call fails with `DatabaseAway`.
   */
  async start(url: string, { isPooled }: Route = { isPooled: false }): Promise<void> {
    if (this.#connections.pool) return;
    this.#isPooled = isPooled;
    await this.#connections.start({
      url,
      isPooled,
      statementTimeout: this.#options.statementTimeout,
      idleInTransactionTimeout: idleInTransactionTimeoutMs,
    });
  }

  query<Row extends object>(statement: Sql | Statement): Promise<Row[]> {
    const config = queryConfig(statement, this.#sending());
    return this.#withClient(
      async (client) => (await this.#send(client, () => client.query<Row>(config))).rows,
      isOfFastPath(statement),
    );
  }

  rows<Row extends unknown[]>(statement: Sql | Statement): Promise<Row[]> {
    const sending = this.#sending();
    return this.#withClient(
      (client) => this.#send(client, () => rowsOn<Row>(client, statement, sending)),
      isOfFastPath(statement),
    );
  }

  async write<Row extends object>(statement: Sql | Statement): Promise<Row[]> {
    this.#state.refuseStopped();
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
    if (!options.readOnly) this.#state.refuseStopped();
    const sending = this.#sending(options.statementTimeout);
    const limited = this.#limited(options);
    const run = () =>
      this.#checkingForm(async () => {
        const { isDistributed } = this;
        return runTransaction(
          await this.#connections.acquire(),
          this.#connections.probe,
          work,
          { ...sending, isDistributed },
          limited,
        );
      });
    const { result, hasWritten } = await retrying(() =>
      run().catch((error) => {
        if (error instanceof OtherForm) return run();
        throw error;
      }),
    );
    if (hasWritten && !options.isBackground) this.#acknowledged++;
    return result;
  }

  /** Sends lines in text format to a `COPY … FROM STDIN`. */
  async copyIn(statement: string, lines: Buffer): Promise<void> {
    this.#state.refuseStopped();
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
   * last batch was consumed or the loop is left. A query that was refused since the database was distributed meanwhile is sent
   * once more; it has not yielded a row by then.
   */
  async *stream<Row extends object>(
    statement: Sql | Statement,
    options: StreamOptions,
  ): AsyncGenerator<Row[], void, undefined> {
    const sentTo = this.isDistributed;
    let hasYielded = false;
    try {
      for await (const rows of this.#streamOnce<Row>(statement, options)) {
        hasYielded = true;
        yield rows;
      }
      return;
    } catch (error) {
      if (hasYielded) throw error;
      const refused = await this.#state
        .refuse(error, sentTo, this.#connections.pool)
        .catch((reason: unknown) => reason);
      if (!(refused instanceof OtherForm)) throw refused;
    }
    yield* this.#streamOnce<Row>(statement, options);
  }

  async *#streamOnce<Row extends object>(
    statement: Sql | Statement,
    { batch, statementTimeout }: StreamOptions,
  ): AsyncGenerator<Row[], void, undefined> {
    const begin = beginText(this.#limited({ isolation: 'repeatable read', readOnly: true, statementTimeout }));
    const sending = this.#sending(statementTimeout);
    const client = await this.#connections.acquire();
    yield* streamRows<Row>(client, this.#connections.probe, statement, { batch, begin, sending });
  }

  async close(): Promise<void> {
    await this.#connections.close();
  }

  /** @throws OtherForm when a statement was refused that suited the database before it was distributed. */
  #checkingForm<T>(work: () => Promise<T>): Promise<T> {
    const sentTo = this.isDistributed;
    return work().catch((error) => this.#state.refuse(error, sentTo, this.#connections.pool));
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
    const bounded = this.#isPooled ? cancelLate(client, work, this.#options.statementTimeout) : work;
    return this.#connections.probe.unlessAway(bounded);
  }

  #withClient<T>(work: (client: pg.PoolClient) => Promise<T>, isFast = false): Promise<T> {
    return this.#checkingForm(() => this.#onClient(work, isFast));
  }

  async #onClient<T>(work: (client: pg.PoolClient) => Promise<T>, isFast: boolean): Promise<T> {
    const client = await this.#connections.acquire(isFast);
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
