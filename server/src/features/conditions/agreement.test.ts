import pg from 'pg';
import { expect, test } from 'vitest';
import { createDatabase } from '../../../test/database.ts';
import { assertAgreement } from './agreement.ts';

const CONDITIONS = 600;
const USERS = 40;

test('one user in process and sets in SQL get the same answers', async ({ annotate }) => {
  const database = await createDatabase({ migrated: false });
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const { pairs, matches, streamed } = await assertAgreement(client, CONDITIONS, USERS);
    await annotate(`${pairs} pairs compared, ${matches} of them matches; ${streamed} conditions left to the stream`);
    expect(pairs).toBeGreaterThan((CONDITIONS * USERS) / 2);
  } finally {
    await client.end();
    await database.drop();
  }
});
