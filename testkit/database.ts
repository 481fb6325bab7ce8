import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { dropOnEachNode, onEachNode } from './nodes.ts';

export interface TestDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

/** Creates a database: with `migrated` a copy of the template, which on Citus is distributed; otherwise an empty one. */
export async function createDatabase({ migrated = true } = {}): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  const nodes = inject('nodeUrls');
  const template = inject('templates')[migrated ? 'migrated' : 'empty'];
  await onEachNode(nodes, `CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY FILE_COPY`);
  const url = new URL(inject('postgresUrl'));
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => dropOnEachNode(nodes, name) };
}
