import pg from 'pg';
import type { Db } from './database.ts';
import { readIsDistributed } from './forms.ts';
import { type Bloat, dropUnfinishedRebuilds, selectBloatedIndexes } from './maintenance.sql.ts';

const megabyte = 1024 * 1024;
/** An entry takes 30 to 60 bytes in a fresh index; a rebuild must be worth its cost. */
const worthRebuilding: Bloat = { minBytes: 16 * megabyte, bytesPerRow: 200 };

export interface Rebuild {
  readonly url: string;
  readonly table: string;
  readonly bloat?: Bloat;
  /** Aborts a rebuild; the next one removes its remains. */
  readonly signal?: AbortSignal;
}

async function queriesOn(client: pg.Client): Promise<Pick<Db, 'query' | 'isDistributed'>> {
  return {
    isDistributed: (await readIsDistributed(client)) ?? false,
    query: async <Row extends object>({ text, values }: Parameters<Db['query']>[0]) =>
      (await client.query<Row & pg.QueryResultRow>(text, [...values])).rows,
  };
}

/**
 * Returns the space that a large deletion freed in the indexes of a table: PostgreSQL reuses it but never shrinks an index.
 * Reads and writes continue meanwhile. It uses its own connection, because it must not run in a transaction, has no time limit,
 * and waits for all older transactions.
 * @returns the indexes rebuilt.
 */
export async function rebuildBloatedIndexes({
  url,
  table,
  bloat = worthRebuilding,
  signal,
}: Rebuild): Promise<string[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'kohort-rebuild', keepAlive: true });
  client.on('error', () => undefined);
  const cutOff = () => void client.end().catch(() => undefined);
  await client.connect();
  try {
    signal?.throwIfAborted();
    signal?.addEventListener('abort', cutOff);
    // Lets the server notice an aborted rebuild, on platforms that support it.
    await client.query("SET client_connection_check_interval = '1s'").catch(() => undefined);
    const db = await queriesOn(client);
    await dropUnfinishedRebuilds(db, table);
    const large = await selectBloatedIndexes(db, table, { ...bloat, bytesPerRow: 0 });
    if (large.length === 0) return [];
    await client.query(`ANALYZE ${table}`);
    const bloated = await selectBloatedIndexes(db, table, bloat);
    for (const name of bloated) await client.query(`REINDEX INDEX CONCURRENTLY ${name}`);
    return bloated;
  } finally {
    signal?.removeEventListener('abort', cutOff);
    await client.end().catch(() => undefined);
  }
}
