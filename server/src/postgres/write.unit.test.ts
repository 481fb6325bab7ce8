import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const source = join(import.meta.dirname, '..');
const changesRows = /\b(?:INSERT\s+INTO|DELETE\s+FROM|UPDATE\s+\w+\s+(?:\w+\s+)?SET|MERGE\s+INTO|TRUNCATE)\b/;
/** `db.query(sql`…`)`, with or without the type of its rows. */
const read = /\.(?:query|rows)(?:<[^(]*>)?\(\s*sql`([^`]*)`/g;

it('statements that change rows go through write, which knows that their outcome may be unknown', async () => {
  const wrong: string[] = [];
  for await (const file of glob('{features,jobs}/**/*.ts', { cwd: source })) {
    if (file.endsWith('.test.ts')) continue;
    for (const [, text = ''] of readFileSync(join(source, file), 'utf8').matchAll(read)) {
      if (changesRows.test(text)) wrong.push(`${file}: ${text.trim().slice(0, 80)}`);
    }
  }
  expect(wrong).toEqual([]);
});
