import type pg from 'pg';
import { keepIdentitiesOnCoordinator, readIdentities, restoreIdentities } from './identities.ts';
import { createDistributedTable, createReferenceTable } from './layout.sql.ts';
import { distributedTables, referenceTables } from './layout.ts';
import { inTransaction } from './session.ts';

/**
 * Distributes a database that no service is using, all or nothing. The database must be migrated, on a coordinator with its workers
 * added, and the role must have the rights.
 */
export async function distributeTables(client: pg.ClientBase): Promise<void> {
  await inTransaction(client, async () => {
    const before = await readIdentities(client);
    for (const name of referenceTables) await createReferenceTable(client, name);
    for (const table of distributedTables) await createDistributedTable(client, table);
    await restoreIdentities(client, before);
  });
  await keepIdentitiesOnCoordinator(client);
}
