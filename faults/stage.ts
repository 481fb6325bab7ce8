import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '@kohort/testkit/cluster.ts';
import { call, demand, fieldOf, signIn } from '@kohort/testkit/http.ts';
import { createLedger, type Ledger, type Verdict } from '@kohort/testkit/ledger/ledger.ts';
import { ADMIN_PASSWORD } from '@kohort/testkit/service.ts';

const segmentCount = 5;
/** It only ends what hangs. */
const settledWithinMs = 60_000;
const retryAfterMs = 100;

export interface Prepared {
  readonly ledger: Ledger;
  readonly token: string;
}

/** Users and plain lists in the database of a running service, a ledger of them, and the admin's token. */
export async function prepare(
  cluster: Pick<Cluster, 'connected'>,
  url: string,
  { users: count, random, keyed }: { users: number; random: () => number; keyed?: number },
): Promise<Prepared> {
  const token = await signIn(url, 'admin', ADMIN_PASSWORD);
  const prefix = 'drill';
  const segments = [];
  for (let i = 0; i < segmentCount; i++) {
    const slug = `${prefix}-${i}`;
    const id = Number(fieldOf(await demand(url, 'POST', '/api/segments', { body: { slug }, token }), 'id'));
    segments.push({ id, slug });
  }
  const users = await cluster.connected(async (client) => {
    const { rows } = await client.query<{ id: string; external_id: string }>(
      `WITH made AS (
         INSERT INTO users (external_id) SELECT $1 || '-' || g FROM generate_series(1, $2::int) g RETURNING id, external_id
       ), keyed AS (INSERT INTO user_keys (external_id, user_id) SELECT external_id, id FROM made)
       SELECT id, external_id FROM made`,
      [prefix, count],
    );
    return rows.map(({ id, external_id }) => ({ id: Number(id), externalId: external_id }));
  });
  return { ledger: createLedger({ users, segments, random, ...(keyed !== undefined && { keyed }) }), token };
}

/**
 * Waits until no statement of the service is under way: one that was in the socket of a frozen backend is executed when the backend
 * continues, even if its caller has given up.
 */
export async function settled(cluster: Pick<Cluster, 'connected'>): Promise<void> {
  const deadline = performance.now() + settledWithinMs;
  await cluster.connected(async (client) => {
    for (let quiet = 0; quiet < 3; ) {
      const { rows } = await client.query<{ busy: string }>(
        `SELECT count(*) AS busy FROM pg_stat_activity WHERE application_name = 'kohort' AND state <> 'idle'`,
      );
      quiet = Number(rows[0]?.busy) === 0 ? quiet + 1 : 0;
      if (performance.now() > deadline) throw new Error('statements of the service do not come to an end');
      await sleep(50);
    }
  });
}

export async function verifyWhenSettled(cluster: Pick<Cluster, 'connected'>, ledger: Ledger): Promise<Verdict> {
  await settled(cluster);
  return cluster.connected((client) => ledger.verify(client));
}

/** Milliseconds until a segment is created and deleted and the job that this queues is done; infinite if it takes too long. */
export async function untilJobIsDone(
  cluster: Pick<Cluster, 'connected'>,
  url: string,
  token: string,
  within: number,
): Promise<number> {
  const slug = `queue-${Date.now()}`;
  const began = performance.now();
  const isLate = () => performance.now() - began > within;
  /**
   * As clients do, repeats a call that is refused with 503 or gets no answer. `doneBefore` is the status where that one was carried
   * out all the same. Returns false when it gives up.
   */
  const insist = async (method: string, path: string, doneBefore: number, body?: string): Promise<boolean> => {
    for (let isFirst = true; !isLate(); isFirst = false) {
      const asked = { token, withinMs: within, ...(body !== undefined && { body }) };
      const answer = await call(url, method, path, asked).catch(() => undefined);
      if (answer && (answer.status < 300 || (!isFirst && answer.status === doneBefore))) return true;
      if (answer && answer.status !== 503)
        throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text}`);
      await sleep(retryAfterMs);
    }
    return false;
  };
  const isCreated = await insist('POST', '/api/segments', 409, JSON.stringify({ slug }));
  if (!isCreated || !(await insist('DELETE', `/api/segments/${slug}`, 404))) return Number.POSITIVE_INFINITY;
  return cluster.connected(async (client) => {
    while (!isLate()) {
      const { rows } = await client.query<{ n: string }>("SELECT count(*) AS n FROM jobs WHERE kind = 'purge_segment'");
      if (Number(rows[0]?.n) === 0) return performance.now() - began;
      await sleep(100);
    }
    return Number.POSITIVE_INFINITY;
  });
}

/** mulberry32: random numbers that can be repeated. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
