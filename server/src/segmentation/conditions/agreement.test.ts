import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { assertAgreement, inSql } from '../../../test/conditions/agreement.ts';
import { TABLES } from '../../../test/conditions/tables.ts';

const CONDITIONS = 600;
const USERS = 40;

let database: TestDatabase;
let client: pg.Client;
beforeAll(async () => {
  database = await createDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

test.each(Object.entries(TABLES))('in SQL too: %s', async (_, rows) => {
  for (const [query, attributes, expected] of rows) {
    const answers = await inSql(client, query, [{ attributes, segments: 0 }]);
    expect([query, attributes, answers ?? [expected]]).toEqual([query, attributes, [expected]]);
  }
});

test('one user in process and sets in SQL get the same answers', async ({ annotate }) => {
  const { pairs, matches, streamed } = await assertAgreement(client, CONDITIONS, USERS);
  await annotate(`${pairs} pairs compared, ${matches} of them matches; ${streamed} conditions left to the stream`);
  expect(pairs).toBeGreaterThan((CONDITIONS * USERS) / 2);
});
