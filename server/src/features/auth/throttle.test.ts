import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Service, startService } from '../../../test/service.ts';
import { sweepAuth } from './auth.ts';
import { accountMemorySeconds } from './backoff.ts';
import { accountSubject, waitOf } from './throttle.ts';

describe('how long to wait', () => {
  const account = { kind: 'sign_in_account', attempts: 9, blocked_for: 3.5, window_left: 86_000 } as const;
  const address = { kind: 'sign_in_address', attempts: 30, blocked_for: null, window_left: 700 } as const;

  it.each([
    ['nothing known', [], 0],
    ['account blocked', [account], 3.5],
    ['account not blocked any more', [{ ...account, blocked_for: -1 }], 0],
    ['account never blocked', [{ ...account, attempts: 5, blocked_for: null }], 0],
    ['address at its limit', [address], 700],
    ['address below its limit', [{ ...address, attempts: 29 }], 0],
    ['both', [account, address], 700],
  ])('%s', (_, rows, seconds) => {
    expect(waitOf(rows)).toBe(seconds);
  });
});

/** Longer than this machine takes from one call to the next, however busy it is. */
const hour = 3_600;

describe('throttling', () => {
  let service: Service;
  beforeAll(async () => {
    service = await startService({ mode: 'evaluation', env: { TRUST_PROXY: '127.0.0.1' } });
    for (const username of ['patient', 'burst', 'resetter', 'changer', 'many', 'elsewhere', 'decayed']) {
      const body = { name: username, username, password: 'right' };
      expect((await service.call('POST', '/auth/sign-up', { body })).status).toBe(200);
    }
    // Every block lasts an hour longer than it should, so that none ends between two calls.
    await service.db.query(sql`CREATE FUNCTION stretch() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN NEW.blocked_until := NEW.blocked_until + interval '1 hour'; RETURN NEW; END $$`);
    await service.db.query(sql`CREATE TRIGGER stretch BEFORE UPDATE ON throttles FOR EACH ROW
      WHEN (NEW.window_ends_at <> OLD.window_ends_at) EXECUTE FUNCTION stretch()`);
  });
  afterAll(() => service.stop());

  /** Every block ends that much sooner. */
  const letBlocksPass = (seconds: number) =>
    service.db.write(sql`
      UPDATE throttles SET blocked_until = blocked_until - make_interval(secs => ${seconds}::float8)
      WHERE blocked_until IS NOT NULL`);

  /** The seconds by which the last failure has blocked an account, but for that hour. */
  async function blockOf(username: string): Promise<number | undefined> {
    const [row] = await service.db.query<{ seconds: number }>(sql`
      SELECT extract(epoch FROM t.blocked_until - t.window_ends_at)::float8 + ${accountMemorySeconds - hour} AS seconds
      FROM throttles t WHERE t.kind = 'sign_in_account' AND t.subject = ${accountSubject(username)}`);
    return row?.seconds;
  }

  let drawn = 0;
  const someAddress = () => `203.0.113.${++drawn % 250}`;

  async function tryIn(username: string, password: string, address = someAddress()) {
    const answer = await service.call('POST', '/auth/sign-in', {
      body: { username, password },
      headers: { 'x-forwarded-for': address },
    });
    return { ...answer, retryAfter: Number(answer.headers['retry-after'] ?? Number.NaN) };
  }

  async function fail(username: string, times: number, address?: string): Promise<number[]> {
    const statuses = [];
    for (let i = 0; i < times; i++) statuses.push((await tryIn(username, 'wrong', address)).status);
    return statuses;
  }

  it.each(['patient', 'nobody-at-all'])(
    'blocks %s from the 6th failure on: 1 s, then 2 s, in both spellings',
    async (username) => {
      expect(await fail(username, 6)).toEqual(Array(6).fill(401));
      expect(await blockOf(username)).toBe(1);
      const blocked = await tryIn(username, 'right');
      expect(blocked).toMatchObject({ status: 429, body: { code: 'throttled', status: 429 } });
      expect(blocked.retryAfter).toBeGreaterThan(hour - 300);
      expect(blocked.retryAfter).toBeLessThanOrEqual(hour + 1);
      expect((await tryIn(username.toUpperCase(), 'right')).status).toBe(429);
      await letBlocksPass(hour + 1);
      expect((await tryIn(username, 'wrong')).status).toBe(401);
      expect(await blockOf(username)).toBe(2);
      expect((await tryIn(username, 'right')).status).toBe(429);
      await letBlocksPass(1);
      expect((await tryIn(username, 'right')).status, 'attempts while blocked neither count nor help').toBe(429);
      await letBlocksPass(hour + 1);
      expect((await tryIn(username, 'right')).status).toBe(username === 'patient' ? 200 : 401);
    },
  );

  it('begins anew after a success', async () => {
    expect(await fail('resetter', 5)).toEqual(Array(5).fill(401));
    expect((await tryIn('resetter', 'right')).status).toBe(200);
    expect(await fail('resetter', 5)).toEqual(Array(5).fill(401));
    expect((await tryIn('resetter', 'right')).status).toBe(200);
  });

  it('lets a success after a block begin anew, too', async () => {
    expect(await fail('elsewhere', 6)).toEqual(Array(6).fill(401));
    await letBlocksPass(hour + 1);
    expect((await tryIn('elsewhere', 'right')).status).toBe(200);
    expect(await fail('elsewhere', 5)).toEqual(Array(5).fill(401));
    expect((await tryIn('elsewhere', 'right')).status).toBe(200);
  });

  it('gives a parallel burst no more than the free guesses and those in the slots, and one after a block', async () => {
    const burst = () => Promise.all(Array.from({ length: 30 }, () => tryIn('burst', 'wrong')));
    const guesses = (await burst()).filter(({ status }) => status === 401).length;
    expect(guesses).toBeGreaterThanOrEqual(6);
    expect(guesses).toBeLessThanOrEqual(8);
    await service.db.write(sql`UPDATE throttles SET blocked_until = statement_timestamp() WHERE attempts >= 6`);
    const second = await burst();
    expect(second.filter(({ status }) => status === 401)).toHaveLength(1);
    expect(second.filter(({ status }) => status === 429)).toHaveLength(29);
  });

  it('never takes parallel sign-ins with the right password for failures', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => tryIn('many', 'right')));
    expect(all.map(({ status }) => status)).toEqual(Array(20).fill(200));
  });

  it('counts a wrong current password, and throttles that call the same way', async () => {
    const { body } = await tryIn('changer', 'right');
    const change = (current_password: string) =>
      service.call('POST', '/auth/password', {
        token: body.token,
        body: { current_password, new_password: 'another' },
        headers: { 'x-forwarded-for': someAddress() },
      });
    for (let i = 0; i < 6; i++) {
      expect(await change('wrong')).toMatchObject({ status: 401, body: { code: 'sign_in_failed' } });
    }
    expect(await blockOf('changer')).toBe(1);
    const blocked = await change('right');
    expect(blocked.status).toBe(429);
    expect(Number(blocked.headers['retry-after'])).toBeGreaterThan(hour - 300);
    expect(Number(blocked.headers['retry-after'])).toBeLessThanOrEqual(hour + 1);
    expect((await tryIn('changer', 'right')).status).toBe(429);
    await letBlocksPass(hour + 1);
    expect((await change('right')).status).toBe(204);
  });

  it('blocks an address from its 30th failure on until its window ends, whatever the accounts; IPv6 by /64', async () => {
    for (const [i, address] of ['192.0.2.1', '2001:db8:5:5::'].entries()) {
      const at = (n: number) => (i === 0 ? address : `${address}${n.toString(16)}`);
      for (let n = 0; n < 30; n++) {
        expect((await tryIn(`stranger${i}-${n}`, 'wrong', at(n + 1))).status, `failure ${n + 1}`).toBe(401);
      }
      const blocked = await tryIn('many', 'right', at(40));
      expect(blocked.status).toBe(429);
      expect(blocked.retryAfter).toBeGreaterThan(880);
      expect(blocked.retryAfter).toBeLessThanOrEqual(900);
      expect((await tryIn('many', 'right')).status, 'from elsewhere').toBe(200);
      expect((await tryIn('many', 'right', at(40))).status, 'a success elsewhere does not free the address').toBe(429);
    }
    await service.db.write(sql`
      UPDATE throttles SET window_ends_at = statement_timestamp() WHERE kind = 'sign_in_address' AND attempts >= 30`);
    expect((await tryIn('many', 'right', '192.0.2.1')).status).toBe(200);
    expect(await fail('stranger', 1, '192.0.2.1')).toEqual([401]);
    expect((await tryIn('many', 'right', '192.0.2.1')).status, 'a new window has begun').toBe(200);
  });

  it('forgets failures of an account in the end', async () => {
    await fail('decayed', 5);
    await service.db.write(sql`
      UPDATE throttles SET window_ends_at = statement_timestamp() WHERE kind = 'sign_in_account' AND attempts = 5`);
    expect(await fail('decayed', 5)).toEqual(Array(5).fill(401));
    expect((await tryIn('decayed', 'right')).status).toBe(200);
  });

  it('doubles up to 15 min', async () => {
    await fail('doubled', 6);
    const waits = [];
    for (let i = 0; i < 11; i++) {
      await service.db.write(sql`UPDATE throttles SET blocked_until = NULL WHERE attempts >= 6`);
      expect((await tryIn('doubled', 'wrong')).status).toBe(401);
      waits.push(await blockOf('doubled'));
      expect((await tryIn('doubled', 'wrong')).status).toBe(429);
    }
    expect(waits).toEqual([2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
  });

  it('takes 60 sign-ups a minute and address', async () => {
    const address = '192.0.2.77';
    const ask = (body: object, from = address) =>
      service.call('POST', '/auth/sign-up', { body, headers: { 'x-forwarded-for': from } });
    for (let i = 0; i < 5; i++) expect((await ask({ username: 'malformed does not count' })).status).toBe(400);
    const windowEnds = (at: ReturnType<typeof sql>) =>
      service.db.write<{ was: number }>(sql`
        WITH before AS (SELECT t.subject, t.window_ends_at - statement_timestamp() AS left FROM throttles t WHERE t.subject = ${address})
        UPDATE throttles t SET window_ends_at = ${at} FROM before b WHERE t.subject = b.subject
        RETURNING extract(epoch FROM b.left)::float8 AS was`);
    for (let i = 0; i < 60; i++) {
      const { status } = await ask({ name: 'x', username: i < 3 ? `sign-up-${i}` : 'sign-up-0', password: 'x' });
      expect(status, `sign-up ${i + 1}`).toBe(i < 3 ? 200 : 409);
      if (i > 0) continue;
      // Sixty sign-ups may take longer than a minute.
      const [{ was } = { was: Number.NaN }] = await windowEnds(sql`statement_timestamp() + interval '1 hour'`);
      expect(was).toBeLessThanOrEqual(60);
    }
    await windowEnds(sql`statement_timestamp() + interval '1 minute'`);
    const blocked = await ask({ name: 'x', username: 'sign-up-x', password: 'x' });
    expect(blocked).toMatchObject({ status: 429, body: { code: 'throttled' } });
    expect(Number(blocked.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(blocked.headers['retry-after'])).toBeLessThanOrEqual(60);
    expect((await ask({ name: 'x', username: 'sign-up-x', password: 'x' }, someAddress())).status).toBe(200);
  });

  it('keeps no username, and is swept when it has ended', async () => {
    const rows = await service.db.query<{ subject: string }>(sql`SELECT subject FROM throttles`);
    expect(rows.length).toBeGreaterThan(10);
    expect(JSON.stringify(rows)).not.toMatch(/patient|stranger|nobody/);
    await service.db.write(sql`
      UPDATE throttles SET window_ends_at = statement_timestamp(), blocked_until = NULL WHERE kind <> 'sign_in_account'`);
    await service.db.write(sql`UPDATE sessions SET expires_at = statement_timestamp() WHERE user_id = 2`);
    await sweepAuth(service.db);
    const kinds = await service.db.query<{ kind: string }>(sql`SELECT DISTINCT kind FROM throttles`);
    expect(kinds).toEqual([{ kind: 'sign_in_account' }]);
    const left = await service.db.query<{ mine: number; others: number }>(sql`
      SELECT count(*) FILTER (WHERE user_id = 2) AS mine, count(*) FILTER (WHERE user_id <> 2) AS others FROM sessions`);
    expect(left[0]?.mine).toBe(0);
    expect(left[0]?.others).toBeGreaterThan(0);
  });
});
