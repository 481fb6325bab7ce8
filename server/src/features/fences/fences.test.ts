import sql from 'sql-template-tag';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Service, startService } from '../../../test/service.ts';
import type { Tx } from '../../postgres/database.ts';
import { insertFence, isFenced, isFencedFromErasure, selectFencedSegments, takeTurn } from './fences.sql.ts';
import { Fenced, transactionBehindFence, transactionBesideFences, waitForFences } from './fences.ts';

let service: Service;
let client: Client;
let user: number;
let segmentId: number;
let job: number;
let drawn = 0;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
});
afterAll(() => service.stop());
beforeEach(async () => {
  user = await client.user();
  segmentId = await client.segment(`Fenced${++drawn}`);
  // One that has not ended and is not due: the service removes the fences of all other jobs every two seconds.
  const [row] = await service.db.query<{ id: number }>(sql`
    INSERT INTO jobs (kind, state, internal, options, actor, run_at)
    VALUES ('sweep', 'queued', true, '{}', 'system', clock_timestamp() + interval '1 hour')
    RETURNING id`);
  job = row?.id ?? 0;
});

const hasty = { lockTimeoutMs: 50, pollEveryMs: 10, giveUpAfterMs: 200 };
const one = (id: number) => sql`SELECT ${id}::bigint AS user_id`;
const fenceFor = (users = one(user)) => ({ job, segmentId, users });

/** Runs `work` while a fence is up, put there by an import that is alive. */
async function whileFenced(work: (letGo: () => void) => Promise<void>): Promise<void> {
  const up = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const importing = transactionBehindFence(
    service.db,
    fenceFor(),
    async () => {
      up.resolve();
      await end.promise;
    },
    {},
  );
  await up.promise;
  try {
    await work(end.resolve);
  } finally {
    end.resolve();
    await importing;
  }
}

async function refuseFencedUser(tx: Tx): Promise<string> {
  if (await isFencedFromErasure(tx, user)) throw new Fenced();
  return 'done';
}

describe('a fence', () => {
  it('covers its users and its segment, and no others', async () => {
    const neighbour = await client.user();
    const asked = async (userId: number, segment: number) => {
      const [row] = await service.db.query<{ fenced: boolean }>(sql`
        SELECT ${isFenced(sql`${userId}::bigint`, sql`${segment}::bigint`)} AS fenced`);
      return row?.fenced;
    };
    expect(await asked(user, segmentId)).toBe(false);
    await whileFenced(async () => {
      expect(await asked(user, segmentId)).toBe(true);
      expect(await asked(neighbour, segmentId)).toBe(false);
      expect(await asked(user, segmentId + 1)).toBe(false);
    });
    expect(await selectFencedSegments(service.db)).not.toContain(segmentId);
  });

  it('goes with the transaction that fails', async () => {
    const failing = transactionBehindFence(service.db, fenceFor(), () => Promise.reject(new Error('broken')), {});
    await expect(failing).rejects.toThrow('broken');
    expect(await selectFencedSegments(service.db)).not.toContain(segmentId);
  });

  it('that its process left behind is removed by those who wait', async () => {
    await insertFence(service.db, fenceFor());
    await waitForFences(service.db);
    expect(await selectFencedSegments(service.db)).not.toContain(segmentId);
  });
});

describe('a transaction beside fences', () => {
  it('waits for a fence that it meets, and then begins anew', async () => {
    await whileFenced(async (letGo) => {
      let attempts = 0;
      const waiting = transactionBesideFences(service.db, async (tx) => {
        if (++attempts === 2) return 'done';
        await refuseFencedUser(tx).finally(letGo);
        return 'too early';
      });
      expect(await waiting).toBe('done');
      expect(attempts).toBe(2);
    });
  });

  it('gives up with 503 when the fence stays', async () => {
    await whileFenced(async () => {
      await expect(transactionBesideFences(service.db, refuseFencedUser, hasty)).rejects.toMatchObject({
        code: 'overloaded',
        headers: { 'retry-after': '2' },
      });
    });
  });

  it('gives up with the refusal of the lock when others keep it', async () => {
    const lock = (tx: Tx) => tx.query(sql`SELECT FROM users u WHERE u.id = ${user} FOR UPDATE`);
    await service.db.transaction(async (tx) => {
      await lock(tx);
      await expect(transactionBesideFences(service.db, lock, hasty)).rejects.toMatchObject({ code: '55P03' });
    });
  });

  it('is part of a transaction that it is given, whose owner does the waiting', async () => {
    await whileFenced(async () => {
      const inner = service.db.transaction((tx) => transactionBesideFences(tx, refuseFencedUser));
      await expect(inner).rejects.toThrow(Fenced);
    });
  });
});

it('imports of one segment take turns', async () => {
  const order: string[] = [];
  const second = Promise.withResolvers<unknown>();
  await service.db.transaction(async (tx) => {
    await takeTurn(tx, segmentId);
    second.resolve(service.db.transaction((other) => takeTurn(other, segmentId)).then(() => order.push('second')));
    await tx.query(sql`SELECT 1`);
    order.push('first');
  });
  await second.promise;
  expect(order).toEqual(['first', 'second']);
});
