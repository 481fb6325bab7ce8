import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

/** Where each of these tables is written. */
const WRITERS = {
  'features/memberships/write/': ['memberships', 'history'],
  'features/users/': ['users', 'user_keys', 'attribute_versions'],
};

const root = join(import.meta.dirname, '../server/src');
const statements = /\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE|COPY)\s+([a-z_]+)/g;

function writtenElsewhere(path: string, text: string): string[] {
  const written = new Set([...text.matchAll(statements)].map(([, table = '']) => table));
  return Object.entries(WRITERS)
    .filter(([room]) => !path.startsWith(room))
    .flatMap(([room, tables]) =>
      tables.filter((table) => written.has(table)).map((table) => `${path}: ${table} (${room})`),
    );
}

it('finds a statement that is out of place', () => {
  const text = 'sql`\n  WITH gone AS (DELETE\n FROM memberships m) INSERT INTO history (user_id) SELECT 1`';
  expect(writtenElsewhere('features/imports/apply.sql.ts', text)).toEqual([
    'features/imports/apply.sql.ts: memberships (features/memberships/write/)',
    'features/imports/apply.sql.ts: history (features/memberships/write/)',
  ]);
  expect(writtenElsewhere('features/memberships/write/planned.sql.ts', text)).toEqual([]);
});

it('each table has one writer', () => {
  const files = globSync('**/*.ts', { cwd: root }).filter((path) => !path.endsWith('.test.ts'));
  const found = files.flatMap((path) =>
    writtenElsewhere(path.replaceAll('\\', '/'), readFileSync(join(root, path), 'utf8')),
  );
  expect(found).toEqual([]);
});
