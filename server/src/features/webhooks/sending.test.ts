import { eventually } from '@kohort/testkit/eventually.ts';
import sql from 'sql-template-tag';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Answering, type Received, type Receiver, startReceiver } from '../../../test/receiver.ts';
import { type Service, startService } from '../../../test/service.ts';
import { movePositions } from './leases.sql.ts';

const env = { WEBHOOK_ALLOW: '127.0.0.0/8' };
/** Retries almost at once. */
const plan = { pausesMs: [1], maxAskedMs: 50, giveUpMs: 3_600_000, random: () => 0.5 };
/** Receivers that answer are given all the time that a busy machine needs. */
const sender = { plan, pollMs: 50, deadlineMs: 120_000 };

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService({ env, sender });
  client = clientOf(service);
});
afterAll(() => service.stop());

/** Has the tests of this block use a service that waits but a moment for answers. */
function inHaste(): void {
  let before: { service: Service; client: Client };
  beforeAll(async () => {
    before = { service, client };
    service = await startService({ env, sender: { ...sender, deadlineMs: 300 } });
    client = clientOf(service);
  });
  afterAll(async () => {
    await service.stop();
    ({ service, client } = before);
  });
}

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  // All senders have stopped by then.
  for (const { id } of await client.all('/api/webhooks', 'webhooks')) await call('DELETE', `/api/webhooks/${id}`);
  for (const stop of stops.splice(0)) await stop();
});

const call: Client['call'] = (...args) => client.call(...args);
let drawn = 0;

async function receiver(answer?: Answering): Promise<Receiver> {
  const started = await startReceiver(answer);
  stops.push(() => started.stop());
  return started;
}

interface Followed {
  readonly slug: string;
  readonly feed: number;
  readonly cursor: string;
}

async function followed(): Promise<Followed> {
  const slug = `S${++drawn}`;
  await client.segment(slug);
  const { id, cursor } = (await call('POST', '/api/feeds', { name: slug, segments: [slug] })).body;
  return { slug, feed: id, cursor };
}

async function hook(feed: number, url: string, rest: object = {}): Promise<{ id: number; secret: string }> {
  const { status, body } = await call('POST', '/api/webhooks', { url, feed, ...rest });
  expect([status, body.url]).toEqual([201, url]);
  return body;
}

const read = (id: number) => client.get(`/api/webhooks/${id}`);
const deliveries = async (id: number) => (await client.get(`/api/webhooks/${id}/deliveries`)).deliveries;
/** The ids of the received changes without repeats, in the order of first arrival. */
function changesOf(received: readonly Received[]) {
  const all = received.flatMap(({ body }) => body.changes as { id: string; type: string; external_id: string }[]);
  return [...new Map(all.map((change) => [change.id, change])).values()];
}
const storyOf = (received: readonly Received[]) =>
  changesOf(received).map(({ type, external_id }) => `${external_id} ${type}`);

async function has(receiver: Receiver, changes: number): Promise<void> {
  await eventually(() => changesOf(receiver.received).length >= changes);
  expect(changesOf(receiver.received)).toHaveLength(changes);
}
/** Waits until every batch is delivered. */
const settled = (id: number) =>
  eventually(async () => (await deliveries(id)).every(({ state }: { state: string }) => state !== 'pending'));

describe('changes', () => {
  it('arrive in the form of a poll, signed as Standard Webhooks', async () => {
    const { slug, feed, cursor } = await followed();
    const target = await receiver();
    const { id, secret } = await hook(feed, target.url);
    for (const user of ['ext:a', 'ext:b']) await client.add(user, slug);
    await client.remove('ext:a', slug);
    await has(target, 3);
    expect(storyOf(target.received)).toEqual(['a entered', 'b entered', 'a left']);
    for (const { text, headers, body } of target.received) {
      expect(new Webhook(secret).verify(text, headers)).toEqual(body);
      expect(headers['content-type']).toBe('application/json');
      expect(body).toMatchObject({ type: 'changes', webhook: id, feed });
      expect(body.timestamp).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    }
    const pulled = (await client.get(`/api/feeds/${feed}/changes?after=${cursor}`)).changes;
    expect(changesOf(target.received)).toEqual(pulled);
    const last = target.received.at(-1)?.body.cursor;
    expect((await client.get(`/api/feeds/${feed}/changes?after=${last}`)).changes).toEqual([]);
    await settled(id);
    expect(await read(id)).toMatchObject({ enabled: true, failures: 0, failing_since: null, lag_seconds: 0 });
    for (const delivery of await deliveries(id)) {
      expect(delivery).toMatchObject({ type: 'changes', state: 'succeeded', status: 204, error: null, attempts: 1 });
      expect(delivery.duration_ms).toBeGreaterThanOrEqual(0);
    }
    expect((await deliveries(id))[0].message_id).toBe(target.received.at(-1)?.headers['webhook-id']);
  });

  it('come in batches of up to 100', async () => {
    const { slug, feed } = await followed();
    const target = await receiver();
    const { id } = await hook(feed, target.url, {});
    await call('PATCH', `/api/webhooks/${id}`, { enabled: false });
    const users = Array.from({ length: 250 }, (_, n) => `ext:many-${n}`);
    await call('PATCH', `/api/segments/${slug}/users`, { add: users });
    const { cursor } = (await call('POST', '/api/feeds', { name: 'x', segments: [slug] })).body;
    expect(cursor).toBeDefined();
    await eventually(async () => (await client.get(`/api/feeds/${feed}/changes?limit=1000`)).changes.length === 250);
    expect(target.received).toEqual([]);
    await call('PATCH', `/api/webhooks/${id}`, { enabled: true });
    await has(target, 250);
    expect(target.received.map(({ body }) => body.changes.length)).toEqual([100, 100, 50]);
    expect(new Set(target.received.map(({ headers }) => headers['webhook-id'])).size).toBe(3);
  });

  it('begin after the creation of the webhook, or after a cursor', async () => {
    const { slug, feed, cursor } = await followed();
    await client.add('ext:early', slug);
    await eventually(async () => (await client.get(`/api/feeds/${feed}/changes?after=${cursor}`)).changes.length === 1);
    const [late, all] = [await receiver(), await receiver()];
    await hook(feed, late.url);
    await hook(feed, all.url, { after: cursor });
    await client.add('ext:late', slug);
    await has(late, 1);
    await has(all, 2);
    expect(storyOf(late.received)).toEqual(['late entered']);
    expect(storyOf(all.received)).toEqual(['early entered', 'late entered']);
  });

  it('of other feeds are skipped', async () => {
    const [ours, others] = [await followed(), await followed()];
    const target = await receiver();
    const { id } = await hook(ours.feed, target.url);
    await client.add('ext:a', others.slug);
    await client.add('ext:a', ours.slug);
    await client.add('ext:b', others.slug);
    await has(target, 1);
    await settled(id);
    expect(await deliveries(id)).toHaveLength(1);
    // A webhook that is up to date is moved to the last change of all feeds; one that is behind stays.
    const positions = () =>
      service.db.query<{ id: number; at_end: boolean }>(sql`
        SELECT w.id, w.position_id = (SELECT max(c.id) FROM feed_changes c) AS at_end FROM webhooks w ORDER BY w.id`);
    const { id: behind } = await hook(others.feed, 'https://receiver.invalid/');
    await call('PATCH', `/api/webhooks/${behind}`, { enabled: false });
    await client.add('ext:c', others.slug);
    const all = `/api/feeds/${others.feed}/changes?after=${others.cursor}`;
    await eventually(async () => (await client.get(all)).changes.length === 3);
    expect((await positions()).map(({ at_end }) => at_end)).toEqual([false, false]);
    await movePositions(service.db, { rows: 0, minutes: 0 });
    expect(await positions()).toEqual([
      { id, at_end: true },
      { id: behind, at_end: false },
    ]);
  });
});

describe('a failure', () => {
  /** Fails the first `count` requests, then succeeds. */
  const failing =
    (times: number, fail: Answering): Answering =>
    (response, message, socket) => {
      if (times-- > 0) fail(response, message, socket);
      else response.writeHead(204).end();
    };

  const FAULTS: [string, Answering, status: number | null, error: RegExp][] = [
    ['500', (response) => response.writeHead(500).end('broken'), 500, /answered 500/],
    ['404', (response) => response.writeHead(404).end(), 404, /answered 404/],
    [
      'a redirect',
      (response) => response.writeHead(302, { location: '/other' }).end(),
      302,
      /redirects are not followed/,
    ],
    ['a reset', (_, __, socket) => socket.resetAndDestroy(), null, /closed without an answer/],
    ['something else than HTTP', (_, __, socket) => socket.end('hello'), null, /the request failed \(HPE_/],
    ['429', (response) => response.writeHead(429, { 'retry-after': '3600' }).end(), 429, /answered 429/],
    ['503', (response) => response.writeHead(503, { 'retry-after': 'soon' }).end(), 503, /answered 503/],
  ];
  async function expectTriedAgain(fail: Answering): Promise<{ attempts: number }> {
    const { slug, feed } = await followed();
    const target = await receiver(failing(2, fail));
    const { id, secret } = await hook(feed, target.url);
    await client.add('ext:a', slug);
    await client.add('ext:b', slug);
    await has(target, 2);
    await settled(id);
    expect(storyOf(target.received)).toEqual(['a entered', 'b entered']);
    const [first, second, third] = target.received;
    expect(first?.text).toBe(second?.text);
    expect(first?.text).toBe(third?.text);
    expect(new Set([first, second, third].map((one) => one?.headers['webhook-id'])).size).toBe(1);
    for (const { text, headers } of target.received) new Webhook(secret).verify(text, headers);
    const [oldest] = (await deliveries(id)).toReversed();
    expect(oldest).toMatchObject({ state: 'succeeded', status: 204, error: null });
    return oldest;
  }

  it.each(FAULTS)('%s is tried again, with the same message under the same id', async (_, fail) => {
    expect(await expectTriedAgain(fail)).toMatchObject({ attempts: 3 });
  });

  it('a receiver without TLS is reported as such', async () => {
    const { feed } = await followed();
    const target = await receiver();
    const { id } = await hook(feed, target.url.replace('http:', 'https:'));
    await call('POST', `/api/webhooks/${id}/test`);
    await settled(id);
    expect((await deliveries(id))[0]).toMatchObject({
      state: 'failed',
      status: null,
      error: 'the TLS handshake failed',
    });
  });

  async function expectShown(fail: Answering, status: number | null, error: RegExp): Promise<void> {
    const { slug, feed } = await followed();
    const target = await receiver(fail);
    const { id } = await hook(feed, target.url);
    await client.add('ext:a', slug);
    await eventually(async () => (await read(id)).failures >= 2);
    await call('PATCH', `/api/webhooks/${id}`, { enabled: false });
    await eventually(
      async () =>
        (
          await service.db.query(sql`
      SELECT FROM webhooks WHERE id = ${id} AND lease_owner IS NULL`)
        ).length === 1,
    );
    const shown = await read(id);
    expect(shown.failing_since).not.toBeNull();
    expect(shown.lag_seconds).toBeGreaterThan(0);
    const [delivery] = await deliveries(id);
    expect(delivery).toMatchObject({
      state: 'pending',
      status,
      error: expect.stringMatching(error),
      finished_at: null,
    });
    expect(delivery.attempts).toBe(shown.failures);
  }

  it.each(FAULTS)('%s is shown while it lasts', (_, fail, status, error) => expectShown(fail, status, error));

  describe('by lateness', () => {
    inHaste();
    const LATE: [string, Answering, error: RegExp][] = [
      ['no answer', () => undefined, /no answer within 0.3 s/],
      ['headers that never end', (_, __, socket) => socket.write('HTTP/1.1 200 OK\r\n'), /no answer within/],
    ];
    it.each(LATE)('%s is tried again, with the same message under the same id', async (_, fail) => {
      // The one that succeeds may be late, too, on a busy machine.
      expect((await expectTriedAgain(fail)).attempts).toBeGreaterThanOrEqual(3);
    });
    it.each(LATE)('%s is shown while it lasts', (_, fail, error) => expectShown(fail, null, error));
  });

  it('is distinguished from a slow or endless body after a good status', async () => {
    for (const answer of [
      (response) => response.writeHead(200).write('x'),
      (response) => {
        response.writeHead(200);
        const more = () => {
          while (!response.destroyed && response.write(Buffer.alloc(65_536, 'x')));
          response.once('drain', more);
        };
        more();
      },
    ] satisfies Answering[]) {
      const { slug, feed } = await followed();
      const target = await receiver(answer);
      const { id } = await hook(feed, target.url);
      await client.add('ext:a', slug);
      await has(target, 1);
      await settled(id);
      const [delivery] = await deliveries(id);
      expect(delivery).toMatchObject({ state: 'succeeded', attempts: 1 });
      expect(delivery.response.length).toBeLessThanOrEqual(1_024);
    }
  });

  it('410 disables the webhook, and undelivered changes are sent once it is enabled again', async () => {
    const { slug, feed } = await followed();
    const target = await receiver(failing(1, (response) => response.writeHead(410).end('gone')));
    const { id } = await hook(feed, target.url);
    await client.add('ext:a', slug);
    await eventually(async () => !(await read(id)).enabled);
    expect(await read(id)).toMatchObject({ disabled_reason: 'gone', next_attempt_at: null });
    expect((await deliveries(id))[0]).toMatchObject({ state: 'pending', status: 410, response: 'gone' });
    await client.add('ext:b', slug);
    expect(target.received).toHaveLength(1);
    await call('PATCH', `/api/webhooks/${id}`, { enabled: true });
    await has(target, 2);
    expect(target.received[1]?.headers['webhook-id']).toBe(target.received[0]?.headers['webhook-id']);
    expect(await read(id)).toMatchObject({ enabled: true, disabled_reason: null, failures: 0 });
  });

  it('for three days disables the webhook', async () => {
    const { slug, feed } = await followed();
    const target = await receiver((response) => response.writeHead(500).end());
    const { id } = await hook(feed, target.url);
    await client.add('ext:a', slug);
    await eventually(async () => (await read(id)).failures >= 1);
    await service.db.write(sql`
      UPDATE webhooks SET failing_since = failing_since - make_interval(secs => ${plan.giveUpMs / 1_000}) WHERE id = ${id}`);
    await eventually(async () => !(await read(id)).enabled);
    expect((await read(id)).disabled_reason).toBe('failing');
  });

  it('is forgotten when the url changes', async () => {
    const { slug, feed } = await followed();
    const [dead, alive] = [await receiver((response) => response.writeHead(500).end()), await receiver()];
    const { id } = await hook(feed, dead.url);
    await client.add('ext:a', slug);
    await eventually(async () => (await read(id)).failures >= 1);
    await call('PATCH', `/api/webhooks/${id}`, { url: alive.url });
    await has(alive, 1);
    await settled(id);
    expect(await read(id)).toMatchObject({ failures: 0, failing_since: null });
  });

  it('is recorded if the name does not resolve, or resolves to an internal address by then', async () => {
    const { slug, feed } = await followed();
    const { id } = await hook(feed, 'https://receiver.invalid/');
    await client.add('ext:a', slug);
    await eventually(async () => (await read(id)).failures >= 1);
    expect((await deliveries(id))[0].error).toBe('the name of the host does not resolve');
    await service.db.write(sql`UPDATE webhooks SET url = 'http://10.0.0.1/' WHERE id = ${id}`);
    await eventually(async () => /not public/.test((await deliveries(id))[0].error));
  });
});

describe('webhooks that hang or fail', () => {
  inHaste();
  it('do not delay others', async () => {
    const { slug, feed } = await followed();
    const [hanging, dead, alive] = [
      await receiver(() => undefined),
      await receiver((response) => response.writeHead(500).end()),
      await receiver(),
    ];
    for (let i = 0; i < 20; i++) {
      await hook(feed, hanging.url);
      await hook(feed, dead.url);
    }
    await hook(feed, alive.url);
    // The healthy webhooks receive several messages while the others hang.
    for (let n = 1; n <= 5; n++) {
      await client.add(`ext:user-${n}`, slug);
      await has(alive, n);
    }
    expect(storyOf(alive.received)).toEqual([1, 2, 3, 4, 5].map((n) => `user-${n} entered`));
    await eventually(() => hanging.received.length > 40 && dead.received.length > 40);
  });
});

describe('a test or replay', () => {
  it('a test is sent once, signed, even to a disabled webhook', async () => {
    const { feed } = await followed();
    const target = await receiver();
    const { id, secret } = await hook(feed, target.url);
    for (const enabled of [true, false]) {
      await call('PATCH', `/api/webhooks/${id}`, { enabled });
      const { status, body } = await call('POST', `/api/webhooks/${id}/test`);
      expect([status, body.type, body.state, body.attempts]).toEqual([202, 'test', 'pending', 0]);
      await settled(id);
      expect((await deliveries(id))[0]).toMatchObject({ id: body.id, state: 'succeeded', status: 204, attempts: 1 });
      const { text, headers, body: sent } = target.received.at(-1) as Received;
      expect(new Webhook(secret).verify(text, headers)).toMatchObject({ type: 'test', changes: [], cursor: null });
      expect(headers['webhook-id']).toBe(body.message_id);
      expect(sent.webhook).toBe(id);
    }
    expect(target.received).toHaveLength(2);
  });

  it('a failed test is not retried, and 410 still disables the webhook', async () => {
    const { feed } = await followed();
    let status = 500;
    const target = await receiver((response) => response.writeHead(status).end());
    const { id } = await hook(feed, target.url);
    await call('POST', `/api/webhooks/${id}/test`);
    await settled(id);
    expect((await deliveries(id))[0]).toMatchObject({ state: 'failed', status: 500, attempts: 1 });
    expect(await read(id)).toMatchObject({ enabled: true, failures: 0 });
    status = 410;
    await call('POST', `/api/webhooks/${id}/test`);
    await settled(id);
    expect(await read(id)).toMatchObject({ enabled: false, disabled_reason: 'gone' });
  });

  it('a replay is the same message under the same id', async () => {
    const { slug, feed } = await followed();
    const target = await receiver();
    const { id } = await hook(feed, target.url);
    await client.add('ext:a', slug);
    await has(target, 1);
    await settled(id);
    const [first] = await deliveries(id);
    await client.add('ext:b', slug);
    await has(target, 2);
    await settled(id);
    const { status, body } = await call('POST', `/api/webhooks/${id}/deliveries/${first.id}/replay`);
    expect([status, body.replay_of, body.message_id, body.changes]).toEqual([202, first.id, first.message_id, 1]);
    await eventually(() => target.received.length === 3);
    await settled(id);
    expect(target.received[2]?.text).toBe(target.received[0]?.text);
    expect(target.received[2]?.headers['webhook-id']).toBe(target.received[0]?.headers['webhook-id']);
    await call('POST', `/api/webhooks/${id}/deliveries/${(await deliveries(id))[0].id}/replay`);
    await eventually(() => target.received.length === 4);
    expect(target.received[3]?.text).toBe(target.received[0]?.text);
    await settled(id);
    await client.add('ext:c', slug);
    await has(target, 3);
    expect(storyOf([target.received[4] as Received])).toEqual(['c entered']);
  });

  it('a replay fails once its changes have been deleted', async () => {
    const { slug, feed } = await followed();
    const target = await receiver();
    const { id } = await hook(feed, target.url);
    await client.add('ext:a', slug);
    await has(target, 1);
    await settled(id);
    const [first] = await deliveries(id);
    await service.db.write(sql`DELETE FROM feed_changes c WHERE c.id < (SELECT max(id) FROM feed_changes)`);
    await call('POST', `/api/webhooks/${id}/deliveries/${first.id}/replay`);
    await settled(id);
    expect((await deliveries(id))[0]).toMatchObject({ state: 'failed', error: 'its changes have been deleted' });
    expect(target.received).toHaveLength(1);
  });
});

describe('a rotation', () => {
  it('signs messages with both secrets for a day, then with the new one', async () => {
    const { feed } = await followed();
    const target = await receiver();
    const { id, secret: old } = await hook(feed, target.url);
    const { secret } = (await call('POST', `/api/webhooks/${id}/secret`)).body;
    const sent = async () => {
      await call('POST', `/api/webhooks/${id}/test`);
      await settled(id);
      return target.received.at(-1) as Received;
    };
    const both = await sent();
    for (const one of [old, secret]) new Webhook(one).verify(both.text, both.headers);
    await service.db.write(sql`
      UPDATE webhooks SET previous_secret_until = previous_secret_until - interval '1 day' WHERE id = ${id}`);
    const one = await sent();
    new Webhook(secret).verify(one.text, one.headers);
    expect(() => new Webhook(old).verify(one.text, one.headers)).toThrow();
  });

  it('recovers a webhook whose secret cannot be decrypted', async () => {
    const { slug, feed } = await followed();
    const target = await receiver();
    const { id } = await hook(feed, target.url);
    await service.db.write(sql`UPDATE webhooks SET secret = '\\x00'::bytea WHERE id = ${id}`);
    await client.add('ext:a', slug);
    await eventually(async () => (await read(id)).failures >= 1);
    expect((await deliveries(id))[0].error).toMatch(/JWT_SECRET has changed/);
    expect(target.received).toEqual([]);
    const { secret } = (await call('POST', `/api/webhooks/${id}/secret`)).body;
    await has(target, 1);
    for (const { text, headers } of target.received) new Webhook(secret).verify(text, headers);
  });
});

it('a webhook whose changes have been deleted receives a resync', async () => {
  const { slug, feed } = await followed();
  const target = await receiver();
  const { id } = await hook(feed, target.url);
  await call('PATCH', `/api/webhooks/${id}`, { enabled: false });
  for (const user of ['ext:a', 'ext:b', 'ext:c']) await client.add(user, slug);
  await eventually(async () => (await client.get(`/api/feeds/${feed}/changes`)).changes.length === 3);
  await service.db.write(sql`DELETE FROM feed_changes c WHERE c.id < (SELECT max(id) FROM feed_changes)`);
  await call('PATCH', `/api/webhooks/${id}`, { enabled: true });
  await eventually(() => target.received.length > 0);
  expect(target.received[0]?.body).toMatchObject({ type: 'resync', changes: [], cursor: expect.any(String) });
  await client.add('ext:d', slug);
  await has(target, 1);
  expect(storyOf(target.received)).toEqual(['d entered']);
  await settled(id);
  expect((await deliveries(id)).map(({ type }: { type: string }) => type)).toEqual(['changes', 'resync']);
});

it('metrics report states, pending deliveries, their age, and attempts', async () => {
  const { slug, feed } = await followed();
  const dead = await receiver((response) => response.writeHead(500).end());
  const { id } = await hook(feed, dead.url);
  await hook(feed, (await receiver()).url);
  await client.add('ext:a', slug);
  await eventually(async () => (await read(id)).failures >= 1);
  const value = (text: string, name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  await eventually(async () => {
    const { text } = await service.call('GET', '/metrics');
    expect(value(text, 'kohort_webhooks\\{state="failing"\\}')).toBe(1);
    expect(value(text, 'kohort_webhooks\\{state="active"\\}')).toBe(1);
    expect(value(text, 'kohort_webhook_deliveries_pending')).toBe(1);
    expect(value(text, 'kohort_webhook_lag_seconds')).toBeGreaterThan(0);
    expect(value(text, 'kohort_webhook_attempts_total\\{outcome="failure"\\}')).toBeGreaterThan(0);
    expect(value(text, 'kohort_webhook_attempts_total\\{outcome="success"\\}')).toBeGreaterThan(0);
    return true;
  });
});
