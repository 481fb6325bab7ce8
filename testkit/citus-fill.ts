import type pg from 'pg';
import { countUnfolded } from './fold.ts';

const users = 500;
const tables = ['users', 'user_keys', 'attribute_versions', 'memberships', 'history'];
const identities = [
  ['users', 'id'],
  ['segments', 'id'],
  ['history', 'seq'],
] as const;

const FILL = [
  `INSERT INTO users (external_id, attributes) SELECT 'user-' || n, jsonb_build_object('n', n) FROM generate_series(1, ${users}) n`,
  'INSERT INTO user_keys (external_id, user_id) SELECT external_id, id FROM users',
  'INSERT INTO attribute_versions (user_id, version, at, attributes) SELECT id, 1, created_at, attributes FROM users',
  `INSERT INTO segments (slug, salt, revision, created_at, updated_at)
    SELECT 'S' || n, 'salt-' || n, n, date_trunc('milliseconds', now()), date_trunc('milliseconds', now()) FROM generate_series(1, 4) n`,
  `INSERT INTO memberships (user_id, segment_id, mode, since)
    SELECT u.id, s.id, 'include', date_trunc('milliseconds', now()) FROM users u CROSS JOIN segments s`,
  // Removed in between, so that the order of a pair's rows matters.
  `INSERT INTO history (user_id, segment_id, op, mode, at, actor)
    SELECT m.user_id, m.segment_id, o.op, 'include', m.since, 'fill'
    FROM memberships m CROSS JOIN (VALUES (1, 'add'), (2, 'remove'), (3, 'add')) o(n, op) ORDER BY o.n`,
];

async function countRows(client: pg.Client): Promise<string> {
  const counts = tables.map((table) => `SELECT '${table}' AS name, count(*)::int AS rows FROM ${table}`);
  const { rows } = await client.query(`${counts.join(' UNION ALL ')} ORDER BY name`);
  return JSON.stringify(rows);
}

/** Users with keys and attributes, segments, memberships, and a history of several rows a pair. */
export async function fill(client: pg.Client): Promise<void> {
  for (const statement of FILL) await client.query(statement);
}

/** Distributes what {@link fill} wrote. @throws when that changes rows, their fold or the next value of an identity. */
export async function keepFilled(client: pg.Client, distribute: () => Promise<void>): Promise<void> {
  const before = await countRows(client);
  await distribute();
  const after = await countRows(client);
  if (after !== before) throw new Error(`distributing turned ${before} into ${after}`);
  if ((await countUnfolded(client)) > 0) throw new Error('distributing broke the history');
  for (const [table, column] of identities) {
    const { rows } = await client.query<{ next: string; last: string }>(
      `SELECT nextval(pg_get_serial_sequence('${table}', '${column}')) AS next, max(${column}) AS last FROM ${table}`,
    );
    if (Number(rows[0]?.next) <= Number(rows[0]?.last)) throw new Error(`distributing reset ${table}.${column}`);
  }
}

/** Empties the tables again: tests start on an empty installation. */
export async function removeFilled(client: pg.Client): Promise<void> {
  for (const table of [...tables, 'segments']) await client.query(`DELETE FROM ${table}`);
  for (const [table, column] of identities) {
    await client.query(`SELECT setval(pg_get_serial_sequence('${table}', '${column}'), 1, false)`);
  }
}
