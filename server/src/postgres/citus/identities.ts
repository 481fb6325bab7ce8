import type pg from 'pg';
import { selectLargest } from './distribution.sql.ts';
import { selectLastDrawn, setLastDrawn, spendSequenceOnWorkers } from './layout.sql.ts';
import { identities } from './layout.ts';

export interface DrawnIdentity {
  readonly table: string;
  readonly column: string;
  /** Null before the first. */
  readonly last: string | null;
}

export async function readIdentities(client: pg.ClientBase): Promise<DrawnIdentity[]> {
  const drawn: DrawnIdentity[] = [];
  for (const { table, column } of identities) {
    drawn.push({ table, column, last: await selectLastDrawn(client, table, column) });
  }
  return drawn;
}

/**
 * Sets each identity to its last value, and past every value in a row. Citus recreates some tables, whose identities then start at 1
 * again.
 * @returns the identities that were behind.
 */
export async function restoreIdentities(client: pg.ClientBase, before: readonly DrawnIdentity[]): Promise<string[]> {
  const behind: string[] = [];
  for (const { table, column, last } of before) {
    const floor = [last, await selectLargest(client, table, column)].map((value) => BigInt(value ?? 0));
    const least = floor.reduce((a, b) => (a > b ? a : b));
    if (least === 0n || BigInt((await selectLastDrawn(client, table, column)) ?? 0) >= least) continue;
    await setLastDrawn(client, table, column, String(least));
    behind.push(`${table}.${column}`);
  }
  return behind;
}

/**
 * Keeps workers from drawing identities. Also for workers that were added later; can be repeated.
 * @throws if this fails on a worker.
 */
export async function keepIdentitiesOnCoordinator(client: pg.ClientBase): Promise<void> {
  for (const { table, column } of identities) {
    const problems = await spendSequenceOnWorkers(client, table, column);
    if (problems.length > 0) throw new Error(`sequence of ${table}.${column}: ${problems.join('; ')}`);
  }
}
