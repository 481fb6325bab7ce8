import { join } from 'node:path';
import { createDatabase } from '@kohort/testkit/database.ts';
import { runWithin } from '@kohort/testkit/processes.ts';
import { expect, it } from 'vitest';

const distribute = (...args: string[]) =>
  runWithin({ args: [join(import.meta.dirname, 'distribute.ts'), ...args] }, 60_000);

it('ends with code 1 and a sentence on a PostgreSQL without Citus', async () => {
  const database = await createDatabase();
  const { code, stdout, stderr } = await distribute('--database-url', database.url);
  await database.drop();
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/^This PostgreSQL has no Citus: .* Nothing was changed\.\n$/);
});

it('ends with code 1 and a sentence where no database answers', async () => {
  const { code, stderr } = await distribute('--database-url', 'postgres://x:secret@127.0.0.1:1/x');
  expect(code).toBe(1);
  expect(stderr).toMatch(/^The database cannot be reached: .*\n$/);
  expect(stderr).not.toMatch(/secret/);
});

it.each([[[]], [['--what']]])('says how it is used when called as %j', async (args) => {
  const { code, stderr } = await distribute(...args);
  expect(code).toBe(2);
  expect(stderr).toMatch(/--database-url/);
});
