import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, createCluster } from '@kohort/testkit/cluster.ts';
import { call, demand, fieldOf, signIn } from '@kohort/testkit/http.ts';
import type { PublishedChange } from '@kohort/testkit/published-change.ts';
import { ADMIN_PASSWORD } from '@kohort/testkit/service.ts';
import { startService } from '../service.ts';

export interface Lags {
  readonly users: number;
  /** Milliseconds from the answer to a change until a follower receives it. */
  readonly single: readonly number[];
  /** From the expiry of an override. */
  readonly expiry: readonly number[];
  /** From the answer, or the end of the job, until everything is received; with the lags of single changes meanwhile. */
  readonly definition: LargeChange;
  readonly import: LargeChange;
}

export interface LargeChange {
  readonly changes: number;
  readonly ms: number;
  readonly single: readonly number[];
}

interface Stage {
  readonly cluster: Cluster;
  readonly url: string;
  readonly token: string;
  /** Resolves with the time at which a follower receives the next change of a user. */
  readonly heard: (user: number) => Promise<number>;
}

const singles = 'singles';

async function insertUsers(cluster: Cluster, count: number): Promise<void> {
  await cluster.connected(async (client) => {
    await client.query(
      `WITH made AS (
         INSERT INTO users (external_id, attributes)
         SELECT 'lag-' || g, jsonb_build_object('n', g % 100) FROM generate_series(1, $1::int) g
         RETURNING id, external_id, attributes, created_at
       ), keyed AS (INSERT INTO user_keys (external_id, user_id) SELECT external_id, id FROM made)
       INSERT INTO attribute_versions (user_id, version, at, attributes) SELECT id, 1, created_at, attributes FROM made`,
      [count],
    );
    await client.query('VACUUM ANALYZE users, user_keys, attribute_versions');
  });
}

/** Follows by long polls, and records when each change is received. */
function listen(url: string, token: string, feed: number, cursor: string) {
  const waiting = new Map<number, (at: number) => void>();
  let isStopping = false;
  const follow = async () => {
    for (let after = cursor; !isStopping; ) {
      const path = `/api/feeds/${feed}/changes?${new URLSearchParams({ after, limit: '1000', wait: '5' })}`;
      const page = (await demand(url, 'GET', path, { token })) as { changes: PublishedChange[]; cursor: string };
      after = page.cursor;
      for (const { user_id } of page.changes) if (user_id !== null) waiting.get(user_id)?.(Date.now());
    }
  };
  const following = follow();
  return {
    heard: (user: number) =>
      new Promise<number>((resolve) => {
        waiting.set(user, resolve);
      }),
    async stop() {
      isStopping = true;
      await following;
    },
  };
}

/** Makes one change by a call. Returns how long after its answer a follower receives it. */
async function measureSingle({ url, token, heard }: Stage, user: number): Promise<number> {
  const received = heard(user);
  await demand(url, 'POST', `/api/users/${user}/segments`, { token, body: { slug: singles } });
  const answered = Date.now();
  return Math.max(0, (await received) - answered);
}

/** Adds an override that expires in a second. Returns how long after its expiry a follower receives that. */
async function measureExpiry({ url, token, heard }: Stage, user: number): Promise<number> {
  const entered = heard(user);
  await demand(url, 'POST', `/api/users/${user}/segments`, { token, body: { slug: singles, ttl: 1 } });
  await entered;
  const left = heard(user);
  const why = await demand(url, 'GET', `/api/users/${user}/segments/${singles}`, { token });
  return (await left) - Date.parse(String(fieldOf(why, 'expires_at')));
}

/** Waits until a large change is received completely, with single changes in between. */
async function measureLarge(
  stage: Stage,
  slug: string,
  isOver: () => Promise<boolean>,
  firstUser: number,
): Promise<LargeChange> {
  const began = performance.now();
  const single: number[] = [];
  for (let user = firstUser; !(await isOver()); user++) {
    single.push(await measureSingle(stage, user));
    await sleep(100);
  }
  const ms = performance.now() - began;
  const changes = await stage.cluster.connected(async (client) => {
    const { rows } = await client.query<{ count: string }>(
      'SELECT count(*) FROM feed_changes c JOIN segments s ON s.id = c.segment_id WHERE s.slug = $1 AND c.user_id IS NOT NULL',
      [slug],
    );
    return Number(rows[0]?.count);
  });
  return { changes, ms, single };
}

async function isEmpty(cluster: Cluster, ...tables: readonly string[]): Promise<boolean> {
  return cluster.connected(async (client) => {
    for (const table of tables) {
      if (((await client.query(`SELECT FROM ${table} LIMIT 1`)).rowCount ?? 0) > 0) return false;
    }
    return true;
  });
}

/** Measures the lag of followers, for single changes and for the largest ones. */
export async function measureLags(users: number): Promise<Lags> {
  const cluster = await createCluster({ settings: { shared_buffers: '256MB', max_wal_size: '2GB' } });
  const service = await startService({ databaseUrl: cluster.url });
  await service.ready();
  const { url } = service;
  const token = await signIn(url, 'admin', ADMIN_PASSWORD);
  await insertUsers(cluster, users);
  await demand(url, 'POST', '/api/segments', { token, body: { slug: singles } });
  await demand(url, 'POST', '/api/segments', { token, body: { slug: 'imported' } });
  await demand(url, 'POST', '/api/segments', { token, body: { slug: 'defined', condition: { n: { $lt: 10 } } } });
  const follow = async (name: string, segments: readonly string[]) =>
    (await demand(url, 'POST', '/api/feeds', { token, body: { name, segments } })) as { id: number; cursor: string };
  await follow('large', ['imported', 'defined']);
  const { id, cursor } = await follow('small', [singles]);
  const listener = listen(url, token, id, cursor);
  const stage: Stage = { cluster, url, token, heard: listener.heard };
  await waitUntil(() =>
    cluster.connected(async (client) => {
      const { rows } = await client.query('SELECT FROM feed_segments s WHERE s.filled_to < 9007199254740991');
      return rows.length === 0;
    }),
  );

  const single: number[] = [];
  for (let user = 10; user < 60; user++) single.push(await measureSingle(stage, user));
  const expiry = await Promise.all(Array.from({ length: 20 }, (_, i) => measureExpiry(stage, 100 + i)));

  await demand(url, 'PATCH', '/api/segments/defined', { token, body: { condition: { n: { $gte: 10 } } } });
  const definition = await measureLarge(
    stage,
    'defined',
    () => isEmpty(cluster, 'feed_rechecks', 'feed_events'),
    1_000,
  );

  const file = new Blob(['user_id\n', ...Array.from({ length: users }, (_, i) => `${i + 2}\n`)]);
  const answer = await call(url, 'POST', '/api/segments/imported/import', {
    token,
    body: file,
    headers: { 'Content-Type': 'text/csv' },
    withinMs: 600_000,
  });
  const job = String(fieldOf(JSON.parse(answer.text), 'job'));
  await waitUntil(async () => fieldOf(await demand(url, 'GET', `/api/jobs/${job}`, { token }), 'state') === 'done');
  const imported = await measureLarge(stage, 'imported', () => isEmpty(cluster, 'feed_events'), 5_000);

  await listener.stop();
  await service.stop();
  await cluster.stop();
  return { users, single, expiry, definition, import: imported };
}

async function waitUntil(check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 600_000;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`it never holds: ${check}`);
    await sleep(50);
  }
}
