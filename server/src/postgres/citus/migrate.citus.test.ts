import { cp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fill } from '@kohort/testkit/citus-fill.ts';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { countUnfolded } from '@kohort/testkit/fold.ts';
import { temporaryFolder } from '@kohort/testkit/folder.ts';
import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { migrate } from '../migrate.ts';
import { distributeTables } from './distribute-tables.ts';

const schema = join(import.meta.dirname, '../../../../schema');
/** The newest schema of the time before tables could be distributed. */
const firstDistributed = 43;
let test: TestDatabase;
let client: pg.Client;
let folder: string;

beforeEach(async () => {
  test = await createDatabase({ migrated: false });
  client = new pg.Client(test.url);
  await client.connect();
  folder = await temporaryFolder('schema');
});
afterEach(async () => {
  await client.end();
  await rm(folder, { recursive: true });
  await test.drop();
});

/** Begins with the schema up to `version`, distributed and with rows. */
async function distributedAt(version: number): Promise<void> {
  for (const file of await readdir(schema)) {
    if (Number(/^(\d+)/.exec(file)?.[1]) <= version) await cp(join(schema, file), join(folder, file));
  }
  await migrate(test.url, folder);
  await distributeTables(client);
  await fill(client);
}

it('upgrades a distributed database, and does nothing the second time', async () => {
  await distributedAt(firstDistributed);
  const version = await migrate(test.url, schema);
  expect(version).toBeGreaterThan(firstDistributed - 1);
  expect(await migrate(test.url, schema)).toBe(version);
  expect(await countUnfolded(client)).toBe(0);
});

it('brings each kind of change to every node', async () => {
  await distributedAt(firstDistributed);
  await writeFile(
    join(folder, '900001_change.up.sql'),
    `ALTER TABLE memberships ADD COLUMN note text;
     ALTER TABLE memberships ADD CONSTRAINT memberships_note_short CHECK (length(note) < 10);
     ALTER TABLE users ADD COLUMN score bigint NOT NULL DEFAULT 0;
     ALTER TABLE segments ADD COLUMN owner text, ADD COLUMN owner_bytes integer GENERATED ALWAYS AS (octet_length(owner)) STORED;
     ALTER TABLE segment_versions ADD COLUMN owner text;
     CREATE TABLE segment_notes (
       segment_id bigint NOT NULL,
       CONSTRAINT segment_notes_pkey PRIMARY KEY (segment_id),
       CONSTRAINT segment_notes_segment_fkey FOREIGN KEY (segment_id) REFERENCES segments
     );
     -- A semicolon; in a comment.
     CREATE FUNCTION kohort_twice(n bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 2 * n; END $$;
     CREATE INDEX memberships_note ON memberships (segment_id, note);
     UPDATE users SET score = 2;`,
  );
  expect(await migrate(test.url, folder)).toBe(900_001);
  const { rows } = await client.query<{ result: string }>(`
    SELECT DISTINCT result FROM run_command_on_shards('memberships', $$SELECT kohort_twice(count(note) + 3) FROM %s$$)`);
  expect(rows).toEqual([{ result: '6' }]);
  const { rows: sums } = await client.query('SELECT sum(kohort_twice(score))::int AS sum FROM users');
  expect(sums).toEqual([{ sum: 2_000 }]);
  await client.query('INSERT INTO segment_notes (segment_id) SELECT id FROM segments');
  await expect(client.query('INSERT INTO segment_notes (segment_id) VALUES (999)')).rejects.toThrow(
    'segment_notes_segment_fkey',
  );
  await expect(client.query("UPDATE memberships SET note = '12345678901'")).rejects.toThrow('memberships_note_short');
});
