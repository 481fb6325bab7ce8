import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Tx } from './database.ts';
import { CommitUnknown, isConnectionLost, isRetryable } from './errors.ts';
import { rowsOn } from './prepared-rows.ts';
import type { Probe } from './probe.ts';
import { queryConfig, type Sending } from './statement.ts';

/**
 * Planner features that can cost more than they save: just-in-time compilation, parallel workers, and bitmap scans, which read
 * and sort all matching rows where an index would return the first ones in order.
 */
export type PlannerFeature = 'jit' | 'parallel' | 'bitmapscan';

const switchOff: Readonly<Record<PlannerFeature, string>> = {
  jit: 'SET LOCAL jit = off',
  parallel: 'SET LOCAL max_parallel_workers_per_gather = 0',
  bitmapscan: 'SET LOCAL enable_bitmapscan = off',
};

export interface TransactionOptions {
  readonly isolation?: 'read committed' | 'repeatable read';
  readonly readOnly?: boolean;
  /** Milliseconds; replaces the default for statements of this transaction. */
  readonly statementTimeout?: number;
  /** Milliseconds that a statement of this transaction may wait for a lock; by default up to the statement timeout. */
  readonly lockTimeout?: number;
  /** Milliseconds that this transaction may idle before PostgreSQL ends it, where the session has no such limit. */
  readonly idleTimeout?: number;
  /** For work that no caller learns of: reads need not see what it writes. */
  readonly isBackground?: boolean;
  /** Planner features to switch off in this transaction. */
  readonly plannerOff?: readonly PlannerFeature[];
}

const maxAttempts = 4;
const jitterMs = 20;

export interface TransactionSending extends Sending {
  readonly isDistributed: boolean;
}

/** `BEGIN` with its settings, in one round trip. */
export function beginText(
  { isolation, readOnly = false, statementTimeout, lockTimeout, idleTimeout, plannerOff = [] }: TransactionOptions,
  { isDistributed = false } = {},
): string {
  const level = isolation === 'repeatable read' ? ' ISOLATION LEVEL REPEATABLE READ' : '';
  const statements = [`BEGIN${level}${readOnly ? ' READ ONLY' : ''}`];
  if (isDistributed) {
    // Otherwise a change on several shards would keep others away from them until it commits, an import for as long as it takes.
    statements.push('SET LOCAL citus.enable_deadlock_prevention = off');
    // Otherwise workers would have none of the limits that follow.
    statements.push("SET LOCAL citus.propagate_set_commands = 'local'");
  }
  if (statementTimeout !== undefined) statements.push(`SET LOCAL statement_timeout = ${Math.trunc(statementTimeout)}`);
  if (lockTimeout !== undefined) statements.push(`SET LOCAL lock_timeout = ${Math.trunc(lockTimeout)}`);
  if (idleTimeout !== undefined) {
    statements.push(`SET LOCAL idle_in_transaction_session_timeout = ${Math.trunc(idleTimeout)}`);
  }
  return [...statements, ...plannerOff.map((feature) => switchOff[feature])].join('; ');
}

/**
 * Runs `work` in one transaction on `client` and commits it.
 * @throws CommitUnknown when the connection was lost during the commit.
 */
export async function runTransaction<T>(
  client: pg.PoolClient,
  probe: Probe,
  work: (tx: Tx) => Promise<T>,
  sending: TransactionSending,
  options: TransactionOptions,
): Promise<{ readonly result: T; readonly hasWritten: boolean }> {
  const run = (text: string) => probe.unlessAway(client.query(queryConfig({ text, values: [] }, sending)));
  let committing = false;
  let hasWritten = false;
  const onWrite = () => {
    hasWritten = true;
  };
  try {
    await run(beginText(options, sending));
    const result = await work(transactionOn(client, probe, sending, onWrite));
    committing = true;
    const { command } = await run('COMMIT');
    // COMMIT of a failed transaction reports ROLLBACK; acknowledging it would lose the write.
    if (command !== 'COMMIT') throw new Error('the transaction was rolled back at commit');
    client.release();
    return { result, hasWritten };
  } catch (error) {
    if (isConnectionLost(error)) {
      client.release(true);
      throw committing && !options.readOnly ? new CommitUnknown('connection lost at commit', { cause: error }) : error;
    }
    const rolledBack = await run('ROLLBACK').then(
      () => true,
      () => false,
    );
    client.release(!rolledBack);
    throw error;
  }
}

/** False only of a change that found no row: what polls in vain writes nothing that a read would have to see. */
export function hasChanged({ command, rowCount }: pg.QueryResult): boolean {
  return rowCount !== 0 || command === 'SELECT';
}

function transactionOn(client: pg.PoolClient, probe: Probe, sending: TransactionSending, onWrite: () => void): Tx {
  const query: Tx['query'] = async <Row extends object>(statement: Parameters<Tx['query']>[0]) =>
    (await probe.unlessAway(client.query<Row>(queryConfig(statement, sending)))).rows;
  const tx: Tx = {
    inTransaction: true,
    isDistributed: sending.isDistributed,
    transaction: (part) => part(tx),
    query,
    // The COMMIT that follows decides whether it happened.
    write: async <Row extends object>(statement: Parameters<Tx['write']>[0]) => {
      const result = await probe.unlessAway(client.query<Row>(queryConfig(statement, sending)));
      if (hasChanged(result)) onWrite();
      return result.rows;
    },
    rows: <Row extends unknown[]>(statement: Parameters<Tx['rows']>[0]) =>
      probe.unlessAway(rowsOn<Row>(client, statement, sending)),
  };
  return tx;
}

/** Retries the whole work up to three times, with jitter, after a deadlock or serialization failure. */
export async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isRetryable(error) || attempt >= maxAttempts) throw error;
      await sleep(Math.random() * jitterMs * attempt);
    }
  }
}
