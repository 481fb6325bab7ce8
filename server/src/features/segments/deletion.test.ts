import { eventually } from '@kohort/testkit/eventually.ts';
import sql from 'sql-template-tag';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Service, startService } from '../../../test/service.ts';
import type { Tx } from '../../postgres/database.ts';
import { applyChanges } from '../memberships/write/apply.sql.ts';
import { deleteWithin } from './delete-segment.ts';

/** Of a build that takes neither lock, to show that a test would notice. */
async function deleteWithoutLocks(): Promise<typeof deleteWithin> {
  vi.resetModules();
  vi.doMock('../memberships/memberships.ts', async (original) => ({
    ...(await original<typeof import('../memberships/memberships.ts')>()),
    keepChangesAway: async () => undefined,
  }));
  vi.doMock('./segments.sql.ts', async (original) => {
    const right = await original<typeof import('./segments.sql.ts')>();
    return { ...right, selectBySlugForUpdate: right.selectBySlug };
  });
  try {
    return (await import('./delete-segment.ts')).deleteWithin;
  } finally {
    vi.doUnmock('../memberships/memberships.ts');
    vi.doUnmock('./segments.sql.ts');
    vi.resetModules();
  }
}

let service: Service;
let client: Client;
let user: number;
let segment: number;

beforeEach(async () => {
  service = await startService();
  client = clientOf(service);
  user = await client.user();
  segment = await client.segment('raced');
});
afterEach(() => service.stop());

/** Whether a call waits for the transaction; on Citus it may do so on a worker. */
async function isAwaited(tx: Tx): Promise<boolean> {
  const [own] = await tx.query<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`);
  const waiting = await service.db.query(sql`
    SELECT 1 AS one FROM pg_stat_activity a WHERE ${own?.pid ?? 0}::int = ANY(pg_blocking_pids(a.pid))`);
  if (waiting.length > 0 || !service.db.isDistributed) return waiting.length > 0;
  const onWorkers = await service.db.query(sql`
    SELECT 1 AS one FROM citus_lock_waits w WHERE w.blocked_statement LIKE '%INTO memberships%'`);
  return onWorkers.length > 0;
}

/** Makes a call while the transaction stands still: until it was answered, or waits. @returns whether it was answered. */
async function callBeside<T>(tx: Tx, calling: Promise<T>): Promise<boolean> {
  let isAnswered = false;
  const note = () => {
    isAnswered = true;
  };
  // The caller sees a failure; here it would be an unhandled rejection.
  calling.then(note, note);
  await eventually(async () => isAnswered || (await isAwaited(tx)));
  return isAnswered;
}

async function addDuring(deletion: typeof deleteWithin): Promise<number> {
  const adding = Promise.withResolvers<{ status: number }>();
  await service.db.transaction(async (tx) => {
    await deletion(tx, 'raced', 'user:1');
    client.add(user, 'raced').then(adding.resolve, adding.reject);
    await callBeside(tx, adding.promise);
  });
  return (await adding.promise).status;
}

describe('the deletion of a segment', () => {
  it('waits for an add that is under way, and removes its member', async () => {
    const deleting = Promise.withResolvers<{ status: number }>();
    const overtook = await service.db.transaction(async (tx) => {
      const change = { user: { id: user }, slug: 'raced', kind: 'include', expiresAt: null, ttl: null } as const;
      expect(await applyChanges(tx, [{ ...change, actor: 'user:1' }])).toEqual(['added']);
      client.call('DELETE', '/api/segments/raced').then(deleting.resolve, deleting.reject);
      return callBeside(tx, deleting.promise);
    });
    expect([overtook, (await deleting.promise).status]).toEqual([false, 200]);
    const left = await service.db.query(sql`SELECT 1 AS one FROM memberships m WHERE m.segment_id = ${segment}`);
    expect(left).toEqual([]);
  });

  it('that is under way keeps an add waiting, which then finds no segment', async () => {
    expect(await addDuring(deleteWithin)).toBe(404);
  });

  it('would be missed by such an add without its locks', async ({ skip }) => {
    skip(!service.db.isDistributed, 'on Citus an advisory lock stands in for the lock on the row');
    expect(await addDuring(await deleteWithoutLocks())).toBe(200);
  });
});
