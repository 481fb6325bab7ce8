import type pg from 'pg';
import type { Db } from './database.ts';
import { isConnectionLost, OtherForm, sqlState } from './errors.ts';

/** With these Citus refuses what it cannot run on distributed tables; some texts it makes for its workers have faults of their own. */
const refusals: ReadonlySet<string | undefined> = new Set(['0A000', '42601', 'XX000']);

export function isRefusedForm(error: unknown): boolean {
  return refusals.has(sqlState(error));
}

/** Whether the tables are distributed over Citus; undefined where the server does not say. */
export async function readIsDistributed(client: pg.ClientBase | pg.Pool): Promise<boolean | undefined> {
  try {
    const citus = await client.query("SELECT FROM pg_class WHERE oid = to_regclass('pg_catalog.pg_dist_partition')");
    if (citus.rowCount === 0) return false;
    const tables = await client.query(
      "SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass('memberships') AND partmethod = 'h'",
    );
    return tables.rowCount !== 0;
  } catch (error) {
    if (isConnectionLost(error)) throw error;
    return undefined;
  }
}

/** What one verb sends, to a database of one server and to a distributed one. */
export interface Forms<T> {
  readonly single: () => Promise<T>;
  readonly distributed: () => Promise<T>;
}

/** Sends the form that suits the database, and once more where it was distributed meanwhile; a transaction starts again as a whole. */
export function inForm<T>(db: Db, { single, distributed }: Forms<T>): Promise<T> {
  const send = () => (db.isDistributed ? distributed() : single());
  // No `async`: each one more costs the fast path.
  return send().catch((error) => {
    if (!(error instanceof OtherForm) || 'inTransaction' in db) throw error;
    return send();
  });
}
