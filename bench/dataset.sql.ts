import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';

/** Ids, both ends included. */
export interface UserRange {
  readonly from: number;
  readonly to: number;
}

// Pseudo-random and the same every time: `k` distinguishes the draws of one user.
const draw = (k: number, below: number) => `((hashint8extended(u.id, ${k}) & 1048575) % ${below})`;
const pick = (k: number, ...values: string[]) =>
  `(ARRAY[${values.map((value) => `'${value}'`).join(', ')}])[1 + ${draw(k, values.length)}]`;

const attributes = `jsonb_build_object(
  'plan', ${pick(1, 'free', 'free', 'free', 'plus', 'pro', 'team')},
  'country', ${pick(2, 'AR', 'BR', 'CZ', 'DE', 'EE', 'ES', 'FR', 'GE', 'IN', 'KZ', 'PL', 'RS', 'TR', 'US', 'UZ', 'VN')},
  'age', 16 + ${draw(3, 60)},
  'orders', ${draw(4, 40)},
  'app', '4.' || ${draw(5, 30)} || '.' || ${draw(6, 10)},
  'email', 'user-' || u.id || '@' || ${pick(7, 'example.com', 'example.org', 'mail.example')},
  'address', jsonb_build_object('city', ${pick(8, 'north', 'south', 'east', 'west', 'centre')}, 'zip', ${draw(9, 90000)}),
  'tags', jsonb_build_array(${pick(10, 'beta', 'vip', 'press', 'staff', 'none')}, ${pick(11, 'ios', 'android', 'web')}))`;

/** Inserts users with an external id and attributes. Existing users stay as they are. */
export async function insertUsers(client: pg.Client, { from, to }: UserRange): Promise<void> {
  await client.query(
    `WITH made AS (
      INSERT INTO users (id, external_id, name, attributes) OVERRIDING SYSTEM VALUE
      SELECT u.id, 'customer-' || u.id, 'Customer ' || u.id, ${attributes} FROM generate_series($1::bigint, $2::bigint) u(id)
      ON CONFLICT (id) DO NOTHING
      RETURNING id, external_id, attributes, attributes_version, created_at
    ), keyed AS (
      INSERT INTO user_keys (external_id, user_id) SELECT made.external_id, made.id FROM made
    )
    INSERT INTO attribute_versions (user_id, version, at, attributes)
    SELECT made.id, made.attributes_version, made.created_at, made.attributes FROM made`,
    [from, to],
  );
}

// `days` from now, which may be negative.
const instant = (days: string) =>
  `to_char((now() + (${days}) * interval '1 day') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`;

const dates = `jsonb_build_object(
  'last_order', ${instant(`-${draw(30, 365 * 24)} / 24.0`)},
  'signed_up', left(${instant(`-${draw(31, 1_000)}`)}, 10),
  'renews_at', floor(extract(epoch FROM now() + ${draw(32, 365)} * interval '1 day') * 1000)::bigint)`;

/** Adds a time, a date and milliseconds since 1970 to the attributes of users, spread over a year or more around now. */
export async function giveDates(client: pg.Client, { from, to }: UserRange): Promise<void> {
  await client.query(
    `WITH dated AS (
      UPDATE users u SET attributes = u.attributes || ${dates} WHERE u.id BETWEEN $1 AND $2
      RETURNING u.id, u.attributes_version, u.attributes
    )
    UPDATE attribute_versions v SET attributes = dated.attributes
    FROM dated WHERE v.user_id = dated.id AND v.version = dated.attributes_version`,
    [from, to],
  );
}

/** 5 to 15 memberships for each user, ten on average, in segments at intervals that differ by user; each with its history row. */
export async function insertMemberships(client: pg.Client, { from, to }: UserRange): Promise<number> {
  const { rowCount } = await client.query(
    `WITH member AS (
      INSERT INTO memberships (user_id, segment_id, mode, since)
      SELECT u.id, s.id, 'include', date_trunc('milliseconds', statement_timestamp())
      FROM generate_series($1::bigint, $2::bigint) u(id)
        CROSS JOIN LATERAL generate_series(0, 4 + ${draw(20, 11)}) k
        JOIN segments s ON s.deleted_at IS NULL AND s.slug =
          'SEGMENT_' || 1 + (${draw(21, 200)} + k * (ARRAY[1, 3, 7, 9, 11, 13, 17, 19])[1 + ${draw(22, 8)}]) % 200
      ORDER BY u.id, s.id
      RETURNING user_id, segment_id, mode, since
    )
    INSERT INTO history (user_id, segment_id, op, mode, at, actor)
    SELECT m.user_id, m.segment_id, 'add', m.mode, m.since, 'system' FROM member m`,
    [from, to],
  );
  return rowCount ?? 0;
}

/** Accounts that are created later get ids that no user of the dataset has. */
export async function moveUserIds(client: pg.Client, next: number): Promise<void> {
  await client.query("SELECT setval(pg_get_serial_sequence('users', 'id'), $1)", [next]);
}

/** Reads all rows that reads of random users need, in the order of their index, so that they are in memory as far as they fit. */
export async function warmMemory(client: pg.Client): Promise<void> {
  await client.query('SET enable_seqscan = off; SET enable_bitmapscan = off; SET max_parallel_workers_per_gather = 0');
  await client.query('SELECT count(m.mode) FROM memberships m WHERE m.user_id > 0');
  await client.query('SELECT count(u.attributes_version) FROM users u WHERE u.id > 0');
}

/** Counts deleted segments that still have members. */
export async function countUnpurged(client: pg.Client): Promise<number> {
  const { rowCount } = await client.query(`
    SELECT FROM segments s
    WHERE s.deleted_at IS NOT NULL AND EXISTS (SELECT FROM memberships m WHERE m.segment_id = s.id)`);
  return rowCount ?? 0;
}

/** The same memberships for the peer, with the indexes that its two calls need. */
export async function copyForPeer(client: pg.Client): Promise<void> {
  await client.query(`
    CREATE SCHEMA peer;
    CREATE TABLE peer.segments (id integer PRIMARY KEY, slug text NOT NULL UNIQUE);
    INSERT INTO peer.segments (id, slug) SELECT s.id, s.slug FROM segments s WHERE s.deleted_at IS NULL;
    CREATE TABLE peer.memberships (user_id bigint NOT NULL, segment_id integer NOT NULL);
    INSERT INTO peer.memberships (user_id, segment_id)
      SELECT m.user_id, m.segment_id FROM memberships m ORDER BY m.user_id, m.segment_id;
    ALTER TABLE peer.memberships ADD PRIMARY KEY (user_id, segment_id);
    CREATE INDEX memberships_segment ON peer.memberships (segment_id, user_id);
    ALTER TABLE peer.memberships ADD FOREIGN KEY (segment_id) REFERENCES peer.segments (id);`);
}

/** For a connection that only loads data, which is created again after a crash. Skips the checks of foreign keys if the role may. */
export async function prepareForLoading(client: pg.Client): Promise<void> {
  await client.query('SET synchronous_commit = off; SET jit = off');
  await client.query('SET session_replication_role = replica').catch(() => undefined);
}

const minVacuums = 5;
const markedWithinMs = 60_000;
const againAfterMs = 1_000;

/**
 * Ends what `prepareForLoading` began, and makes every membership readable from its index alone, the peer's too. VACUUM does not
 * mark pages as visible to all while the commits of their rows are not flushed to the log, and reads then visit the table as well: a
 * third of it was left unmarked once. So the commit of ANALYZE flushes them first.
 * @throws if pages stay unmarked for a minute and five attempts, on a server that is not distributed
 */
export async function finishLoading(client: pg.Client): Promise<void> {
  await client.query('SET synchronous_commit = on');
  await client.query('ANALYZE');
  const deadline = performance.now() + markedWithinMs;
  for (let vacuums = 1; ; vacuums++) {
    await client.query('VACUUM');
    const { rows } = await client.query<{ name: string }>(
      `SELECT c.oid::regclass::text AS name FROM pg_class c
      WHERE c.oid IN ('memberships'::regclass, to_regclass('peer.memberships')) AND c.relallvisible < c.relpages`,
    );
    if (rows.length === 0) return;
    if (vacuums >= minVacuums && performance.now() > deadline) {
      throw new Error(
        `VACUUM leaves pages of ${rows.map(({ name }) => name).join(' and ')} unmarked: is a transaction open?`,
      );
    }
    // Autovacuum and others may have snapshots from before, which delay the marks.
    await sleep(againAfterMs);
  }
}
