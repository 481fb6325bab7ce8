import type pg from 'pg';
import { flawOfName } from '../users/users.ts';
import {
  type AttributeIndex,
  createAttributeIndex,
  dropAttributeIndex,
  isIndexOf,
  selectAttributeIndexes,
} from './attribute-index.sql.ts';

export type IndexOutcome = 'created' | 'there already' | 'dropped' | 'not there' | 'impossible';

async function find(client: pg.ClientBase, attribute: string): Promise<AttributeIndex | undefined> {
  return (await selectAttributeIndexes(client)).find((index) => isIndexOf(index, attribute));
}

/** Makes an index for equality with an attribute, unless it is there. One that was cut off while it was made is made anew. */
export async function indexAttribute(client: pg.ClientBase, attribute: string): Promise<IndexOutcome> {
  if (flawOfName(attribute) !== undefined) return 'impossible';
  const found = await find(client, attribute);
  if (found?.is_valid) return 'there already';
  if (found) await dropAttributeIndex(client, attribute);
  await createAttributeIndex(client, attribute);
  return 'created';
}

export async function unindexAttribute(client: pg.ClientBase, attribute: string): Promise<IndexOutcome> {
  if (!(await find(client, attribute))) return 'not there';
  await dropAttributeIndex(client, attribute);
  return 'dropped';
}

const megabyte = 1024 * 1024;

/** A line for each index there is. */
export async function listAttributeIndexes(client: pg.ClientBase): Promise<string[]> {
  const indexes = await selectAttributeIndexes(client);
  return indexes.map(({ name, attribute, bytes, is_valid }) => {
    const size = `${(bytes / megabyte).toFixed(1)} MB`;
    return `${attribute ?? '(cut off)'}: ${name}, ${is_valid ? size : 'unfinished: make it again, or drop it'}`;
  });
}
