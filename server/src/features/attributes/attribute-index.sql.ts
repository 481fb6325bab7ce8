import { createHash } from 'node:crypto';
import type pg from 'pg';

export interface AttributeIndex {
  readonly name: string;
  /** The attribute it is on. */
  readonly attribute: string | null;
  readonly bytes: number;
  /** False if making it was cut off: it serves no question, and every write maintains it. */
  readonly is_valid: boolean;
}

/** The name of the index on an attribute: a digest, since an attribute may have any name of any length. */
function nameOf(attribute: string): string {
  return `users_attribute_${createHash('sha256').update(attribute).digest('hex').slice(0, 16)}`;
}

/** The form of expression in which the SQL of conditions speaks of an attribute. */
function expressionOf(client: pg.ClientBase, attribute: string): string {
  return `attributes -> ${client.escapeLiteral(attribute)}`;
}

/** On Citus the sizes are those of the shards, which the coordinator does not know. */
export async function selectAttributeIndexes(client: pg.ClientBase): Promise<AttributeIndex[]> {
  const { rows } = await client.query<AttributeIndex>(`
    SELECT c.relname AS name, obj_description(c.oid, 'pg_class') AS attribute, pg_relation_size(c.oid)::float8 AS bytes,
      i.indisvalid AS is_valid
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = 'users'::regclass AND c.relname LIKE 'users\\_attribute\\_%'
    ORDER BY 2, 1`);
  return rows;
}

/** Writes go on meanwhile. Containment is what equality of a scalar is, also for lists; the small operator class is made for it. */
export async function createAttributeIndex(client: pg.ClientBase, attribute: string): Promise<void> {
  const name = nameOf(attribute);
  const expression = expressionOf(client, attribute);
  await client.query(
    `CREATE INDEX CONCURRENTLY IF NOT EXISTS ${name} ON users USING gin ((${expression}) jsonb_path_ops)`,
  );
  await client.query(`COMMENT ON INDEX ${name} IS ${client.escapeLiteral(attribute)}`);
  // How many users have which value decides whether the index is used.
  await client.query('ANALYZE users');
}

export async function dropAttributeIndex(client: pg.ClientBase, attribute: string): Promise<void> {
  await client.query(`DROP INDEX CONCURRENTLY IF EXISTS ${nameOf(attribute)}`);
}

export const isIndexOf = (index: AttributeIndex, attribute: string): boolean => index.name === nameOf(attribute);
