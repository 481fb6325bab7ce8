import type pg from 'pg';
import sql from 'sql-template-tag';
import type { DistributedTable } from './layout.ts';

type Client = Pick<pg.ClientBase, 'query'>;

export async function createReferenceTable(client: Client, name: string): Promise<void> {
  await client.query(sql`SELECT create_reference_table(${name}::text::regclass)`);
}

/** Copies the rows of the table. Other sessions may read it meanwhile, but not write. */
export async function createDistributedTable(
  client: Client,
  { name, by, colocatedWith = 'none' }: DistributedTable,
): Promise<void> {
  await client.query(
    sql`SELECT create_distributed_table(${name}::text::regclass, ${by}, colocate_with => ${colocatedWith})`,
  );
}

/** The last value drawn from an identity; null before the first. */
export async function selectLastDrawn(client: Client, table: string, column: string): Promise<string | null> {
  const { rows } = await client.query<{ last: string | null }>(
    sql`SELECT pg_sequence_last_value(pg_get_serial_sequence(${table}::text, ${column}::text)::regclass)::text AS last`,
  );
  return rows[0]?.last ?? null;
}

export async function setLastDrawn(client: Client, table: string, column: string, last: string): Promise<void> {
  await client.query(sql`SELECT setval(pg_get_serial_sequence(${table}::text, ${column}::text), ${last}::bigint)`);
}

/**
 * Makes each worker refuse to draw from the sequence of an identity, by using up its last value there.
 * @returns the errors, by worker.
 */
export async function spendSequenceOnWorkers(client: Client, table: string, column: string): Promise<string[]> {
  const { rows } = await client.query<{ problem: string }>(sql`
    SELECT nodename || ':' || nodeport || ': ' || result AS problem
    FROM run_command_on_workers(format(
      'SELECT setval(s.seqrelid::regclass, s.seqmax) FROM pg_sequence s WHERE s.seqrelid = pg_get_serial_sequence(%L, %L)::regclass',
      ${table}::text, ${column}::text
    ))
    WHERE NOT success`);
  return rows.map(({ problem }) => problem);
}
