import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { Sql } from 'sql-template-tag';
import { CommitUnknown, DatabaseAway, isConnectionLost, isRetryable } from './errors.ts';

// bigint: our ids and counts stay below 2^53 by constraint. numeric: percentages only, three decimals.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);
pg.types.setTypeParser(pg.types.builtins.NUMERIC, Number);

/** A statement with a name is prepared once per connection. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values: unknown[];
}

/** Gives a statement whose text never varies a name. */
export function named(name: string, { text, values }: Sql): Statement {
  return { name, text, values };
}

/** Whatever runs a statement: the database itself, or a transaction on it. */
export interface Db {
  query<Row extends object>(statement: Sql | Statement): Promise<Row[]>;
  /** Each row a tuple of its columns: cheaper, for hot statements. */
  rows<Row extends unknown[]>(statement: Sql | Statement): Promise<Row[]>;
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
  readonly onError: (error: Error, what: string) => void;
}

/**
 * Means of PostgreSQL that can cost more than they save: just-in-time compilation, a second core for one statement, and
 * bitmaps of rows, which have to be gone through whole and sorted where an index would give the first ones in order.
 */
export type Means = 'jit' | 'parallel' | 'bitmaps';

const WITHOUT: Readonly<Record<Means, string>> = {
  jit: 'SET LOCAL jit = off',
  parallel: 'SET LOCAL max_parallel_workers_per_gather = 0',
  bitmaps: 'SET LOCAL enable_bitmapscan = off',
};

export interface TransactionOptions {
  readonly isolation?: 'read committed' | 'repeatable read';
  readonly readOnly?: boolean;
  /** Milliseconds; replaces the database's own for statements of this transaction. */
  readonly statementTimeout?: number;
  /** Milliseconds a statement of this transaction may wait for a lock; otherwise as long as it may take. */
  readonly lockTimeout?: number;
  /** What PostgreSQL is to do without, for statements of this transaction. */
  readonly without?: readonly Means[];
}

const CONNECT_TIMEOUT = 2_000;
const PROBE_EVERY = 500;
const PROBE_TIMEOUT = 1_500;
const TIMEOUT_GRACE = 1_000;
const MAX_ATTEMPTS = 4;
const CHANGES = /\b(?:INSERT\s+INTO|DELETE\s+FROM|UPDATE\s+\w+\s+(?:\w+\s+)?SET)\b/;

/**
 * The one door to PostgreSQL. A probe on a connection of its own notices within about two seconds when the server stops
 * answering, also when it is frozen rather than gone; from then on, and for everything in flight, calls fail at once with
 * {@link DatabaseAway} instead of waiting out their timeouts, until the probe is answered again.
 */
export class Database implements Transactor {
  readonly #options: DatabaseOptions;
  #url = '';
  #pool: pg.Pool | undefined;
  #probe: pg.Client | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #isAway = false;
  /** Rejects of everything that waits for the server. */
  readonly #waiting = new Set<(error: DatabaseAway) => void>();

  readonly #onAway = new Set<() => void>();

  constructor(options: DatabaseOptions) {
    this.#options = options;
  }

  /** Tells when the server is found to be away, for those with connections of their own. */
  onAway(tell: () => void): void {
    this.#onAway.add(tell);
  }

  #connection(): pg.ClientConfig {
    return {
      connectionString: this.#url,
      application_name: 'kohort',
      statement_timeout: this.#options.statementTimeout,
      idle_in_transaction_session_timeout: 30_000,
      keepAlive: true,
    };
  }

  get available(): boolean {
    return !this.#closed && this.#pool !== undefined && !this.#isAway;
  }

  /** Connections open, and the most there may be. */
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
    this.#url = url;
    await this.#check();
    this.#pool = new pg.Pool({
      ...this.#connection(),
      max: this.#options.maxConnections,
      connectionTimeoutMillis: CONNECT_TIMEOUT,
      idleTimeoutMillis: 30_000,
      maxLifetimeSeconds: 3_600,
    });
    // Without listeners one terminated backend would end the process: the pool's is for idle connections only. Those that are
    // taken fail their next statement; here they only must not go unheard between two.
    this.#pool.on('connect', (client) => client.on('error', () => undefined));
    this.#pool.on('error', (error) => this.#options.onError(error, 'idle connection lost'));
    const beat = async () => {
      await this.#check().catch(() => undefined);
      if (!this.#closed) this.#timer = setTimeout(beat, PROBE_EVERY);
    };
    this.#timer = setTimeout(beat, PROBE_EVERY);
  }

  /** One question to the server, on the probe's own connection. */
  async #ask(): Promise<void> {
    try {
      if (!this.#probe) {
        const client = new pg.Client({
          ...this.#connection(),
          connectionTimeoutMillis: PROBE_TIMEOUT,
          application_name: 'kohort-probe',
        });
        client.on('error', () => {
          if (this.#probe === client) this.#probe = undefined;
        });
        await client.connect();
        this.#probe = client;
      }
      await withTimeout(this.#probe.query('SELECT 1'), PROBE_TIMEOUT);
    } catch (error) {
      this.#probe?.end().catch(() => undefined);
      this.#probe = undefined;
      throw error;
    }
  }

  async #check(): Promise<void> {
    const isReused = this.#probe !== undefined;
    try {
      // A connection that was cut says nothing of the server: it is asked again on a new one before it counts as away.
      await this.#ask().catch((error) => {
        if (!isReused || error instanceof DatabaseAway) throw error;
        return this.#ask();
      });
      this.#isAway = false;
    } catch (error) {
      if (!this.#isAway && !this.#closed) {
        this.#isAway = true;
        for (const reject of this.#waiting) reject(new DatabaseAway('the database went away'));
        for (const tell of this.#onAway) tell();
        this.#options.onError(error instanceof Error ? error : new Error(String(error)), 'database away');
      }
      throw error;
    }
  }

  /** Rejects as soon as the server is found to be away, whatever the work is waiting for. */
  #unlessAway<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#isAway) {
        work.catch(() => undefined);
        return reject(new DatabaseAway('the database is away'));
      }
      this.#waiting.add(reject);
      work.then(resolve, reject).finally(() => this.#waiting.delete(reject));
    });
  }

  async #acquire(): Promise<pg.PoolClient> {
    if (!this.#pool || this.#isAway) throw new DatabaseAway('the database is away');
    const waiting = this.#pool.connect();
    try {
      return await this.#unlessAway(waiting);
    } catch (error) {
      waiting.then((client) => client.release(true)).catch(() => undefined);
      throw error;
    }
  }

  query<Row extends object>(statement: Sql | Statement): Promise<Row[]> {
    const config = configOf(statement, this.#options.statementTimeout);
    return this.#with(async (client) => (await this.#unlessAway(client.query<Row>(config))).rows, config.text);
  }

  rows<Row extends unknown[]>(statement: Sql | Statement): Promise<Row[]> {
    const config = tuplesOf(configOf(statement, this.#options.statementTimeout));
    return this.#with(async (client) => (await this.#unlessAway(client.query<Row>(config))).rows, config.text);
  }

  async #with<T>(work: (client: pg.PoolClient) => Promise<T>, text = ''): Promise<T> {
    const client = await this.#acquire();
    try {
      const result = await work(client);
      client.release();
      return result;
    } catch (error) {
      const isLost = isConnectionLost(error);
      client.release(isLost);
      // A statement on its own commits itself; that it was sent is all we know.
      if (isLost && CHANGES.test(text)) throw new CommitUnknown('connection lost during a change', { cause: error });
      throw error;
    }
  }

  /**
   * Runs `work` in one transaction and commits it. Deadlocks and serialization failures are tried again, whole, with
   * jitter; so `work` must not have effects outside the database.
   * @throws CommitUnknown when the connection was lost while the commit was under way.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    return retrying(() => this.#attempt(work, options));
  }

  async #attempt<T>(work: (tx: Tx) => Promise<T>, options: TransactionOptions): Promise<T> {
    const client = await this.#acquire();
    const timeout = options.statementTimeout ?? this.#options.statementTimeout;
    const run = (text: string) => this.#unlessAway(client.query(configOf({ text, values: [] }, timeout)));
    let committing = false;
    try {
      await run(beginText(options));
      const tx: Tx = {
        inTransaction: true,
        transaction: (part) => part(tx),
        query: async <Row extends object>(statement: Sql | Statement) =>
          (await this.#unlessAway(client.query<Row>(configOf(statement, timeout)))).rows,
        rows: async <Row extends unknown[]>(statement: Sql | Statement) =>
          (await this.#unlessAway(client.query<Row>(tuplesOf(configOf(statement, timeout))))).rows,
      };
      const result = await work(tx);
      committing = true;
      const { command } = await run('COMMIT');
      // A transaction that failed inside answers COMMIT with ROLLBACK; acknowledging it would lose the write.
      if (command !== 'COMMIT') throw new Error('the transaction was rolled back at commit');
      client.release();
      return result;
    } catch (error) {
      if (isConnectionLost(error)) {
        client.release(true);
        throw committing ? new CommitUnknown('connection lost at commit', { cause: error }) : error;
      }
      const rolledBack = await run('ROLLBACK').then(
        () => true,
        () => false,
      );
      client.release(!rolledBack);
      throw error;
    }
  }

  /** Sends lines in the text format to a `COPY … FROM STDIN`. */
  copyIn(statement: string, lines: Buffer): Promise<void> {
    return this.#with(async (client) => {
      const copy = client.query(copyFrom(statement));
      // In one piece: of several, the library would go on with the next one, and throw where nobody catches it, when the
      // server has refused while the socket was full.
      copy.end(lines);
      await this.#unlessAway(finished(copy));
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
      this.#unlessAway(client.query<Row>(configOf({ text: statement, values: parameters }, statementTimeout)));
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
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#probe?.end().catch(() => undefined);
    this.#probe = undefined;
    await this.#pool?.end();
  }
}

/** Tries work that failed by a deadlock or a serialization failure again, whole, with jitter, three times. */
export async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isRetryable(error) || attempt >= MAX_ATTEMPTS) throw error;
      await sleep(Math.random() * 20 * attempt);
    }
  }
}

/** All in one round trip. */
function beginText({
  isolation,
  readOnly = false,
  statementTimeout,
  lockTimeout,
  without = [],
}: TransactionOptions): string {
  const level = isolation === 'repeatable read' ? ' ISOLATION LEVEL REPEATABLE READ' : '';
  const statements = [`BEGIN${level}${readOnly ? ' READ ONLY' : ''}`];
  if (statementTimeout !== undefined) statements.push(`SET LOCAL statement_timeout = ${Math.trunc(statementTimeout)}`);
  if (lockTimeout !== undefined) statements.push(`SET LOCAL lock_timeout = ${Math.trunc(lockTimeout)}`);
  return [...statements, ...without.map((means) => WITHOUT[means])].join('; ');
}

/** The timeout on our side is for a backend that is stuck itself and cannot cancel the statement. */
function configOf(statement: Sql | Statement, timeout: number): pg.QueryConfig {
  const { text, values } = statement;
  const config = { text, values, query_timeout: timeout + TIMEOUT_GRACE };
  return 'name' in statement && statement.name !== undefined ? { name: statement.name, ...config } : config;
}

function tuplesOf(config: pg.QueryConfig): pg.QueryArrayConfig {
  return { ...config, rowMode: 'array' };
}

async function withTimeout<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    // A busy event loop makes timers fire before an answer that already lies in the socket: give it one more turn.
    timer = setTimeout(
      () => setTimeout(() => reject(new DatabaseAway('the probe was not answered')), 250),
      milliseconds,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
