import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Answer, type Service, startService } from '../../../test/service.ts';
import { sweepDeliveries } from './webhooks.ts';

let service: Service;
let client: Client;
let feed: number;
beforeAll(async () => {
  service = await startService({ env: { WEBHOOK_ALLOW: '127.0.0.0/8' } });
  client = clientOf(service);
  await client.segment('Followed', { tags: ['web'] });
  feed = (await client.call('POST', '/api/feeds', { name: 'all', segments: ['Followed'] })).body.id;
});
afterAll(() => service.stop());

const call: Client['call'] = (...args) => client.call(...args);
/** The host does not exist, so nothing is sent. */
const url = 'https://receiver.invalid/hook';
const ownSecret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const create = (body: object = {}): Promise<Answer> => call('POST', '/api/webhooks', { url, feed, ...body });

it('webhooks are created, listed, read, changed and deleted', async () => {
  const { status, body, headers } = await create();
  expect([status, headers['cache-control']]).toEqual([201, 'no-store']);
  const { secret, ...shown } = body;
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  expect(shown).toMatchObject({ url, feed, enabled: true, disabled_reason: null, failures: 0, lag_seconds: 0 });
  expect(shown.created_by).toMatch(/^user:\d+$/);
  const path = `/api/webhooks/${shown.id}`;
  expect(await client.get(path)).toEqual(shown);
  const { id: second } = (await create({ secret: ownSecret })).body;
  expect((await client.all('/api/webhooks', 'webhooks', 1)).map(({ id }) => id)).toEqual([shown.id, second]);
  const paused = await call('PATCH', path, { enabled: false });
  expect(paused).toMatchObject({ status: 200, body: { enabled: false, disabled_reason: 'paused', url } });
  const moved = await call('PATCH', path, { url: 'http://127.0.0.1:1/' });
  expect(moved.body).toMatchObject({ url: 'http://127.0.0.1:1/', enabled: false, disabled_reason: 'paused' });
  expect((await call('PATCH', path, { enabled: true })).body).toMatchObject({ enabled: true, disabled_reason: null });
  for (const id of [shown.id, second]) expect((await call('DELETE', `/api/webhooks/${id}`)).status).toBe(204);
  for (const method of ['GET', 'DELETE']) expect((await call(method, path)).status).toBe(404);
  expect(await call('PATCH', path, { enabled: true })).toMatchObject({
    status: 404,
    body: { code: 'webhook_unknown' },
  });
});

describe('a secret', () => {
  it('of the caller is accepted, shown once, and stored encrypted', async () => {
    const { body } = await create({ secret: ownSecret });
    expect(body.secret).toBe(ownSecret);
    expect(JSON.stringify(await client.get('/api/webhooks'))).not.toContain('whsec_');
    const [row] = await service.db.query<{ secret: Buffer }>(sql`SELECT secret FROM webhooks WHERE id = ${body.id}`);
    expect(row?.secret.includes('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')).toBe(false);
    expect(row?.secret.includes(Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64'))).toBe(false);
  });

  it.each(['', 'x', 'whsec_', 'whsec_short', `${ownSecret}!`, ownSecret.slice(6), 7, null])(
    'like %j is refused',
    async (secret) => {
      const { status, body } = await create({ secret });
      expect([status, body.errors[0].path]).toEqual([400, '/body/secret']);
    },
  );

  it('is replaced by a random or a given one, and the old one stays valid for a day', async () => {
    const { id, secret } = (await create()).body;
    const path = `/api/webhooks/${id}/secret`;
    const drawn = await call('POST', path);
    expect([drawn.status, drawn.headers['cache-control']]).toEqual([200, 'no-store']);
    expect(drawn.body.secret).toMatch(/^whsec_/);
    expect(drawn.body.secret).not.toBe(secret);
    const [row] = await service.db.query<{ hours: number }>(sql`
      SELECT extract(epoch FROM ${drawn.body.previous_secret_until}::timestamptz - statement_timestamp())::float8 / 3600 AS hours`);
    expect(row?.hours).toBeCloseTo(24, 1);
    expect((await client.get(`/api/webhooks/${id}`)).previous_secret_until).toBe(drawn.body.previous_secret_until);
    expect((await call('POST', path, { secret: ownSecret })).body.secret).toBe(ownSecret);
    expect((await call('POST', path, {})).body.secret).toMatch(/^whsec_/);
    expect((await call('POST', path, { secret: 'x' })).body.errors[0].path).toBe('/body/secret');
    expect((await call('POST', '/api/webhooks/999999/secret')).status).toBe(404);
    await service.db.write(sql`
      UPDATE webhooks SET previous_secret_until = statement_timestamp() - interval '1 second' WHERE id = ${id}`);
    expect((await client.get(`/api/webhooks/${id}`)).previous_secret_until).toBeNull();
  });
});

describe('a url is refused', () => {
  it.each([
    'http://10.0.0.1/',
    'http://192.168.1.1:8080/hook',
    'http://169.254.169.254/latest/meta-data/',
    'http://[::1]/',
    'http://[::ffff:10.0.0.1]/',
    'http://[64:ff9b::10.0.0.1]/',
    'http://[fd00::1]/',
    'http://167772161/',
    'http://0x0a.1/',
    'http://012.0.0.1/',
    'http://10.1/',
    'http://0/',
    'https://ann:secret@receiver.example/',
    'https://93.184.215.14:25/',
    'ftp://93.184.215.14/',
    'receiver.example',
    'https://receiver.example/#x',
    '',
    `https://receiver.example/${'x'.repeat(2_048)}`,
  ])('%s', async (refused) => {
    const before = await client.get('/api/webhooks');
    const { status, body } = await create({ url: refused });
    expect([status, body.errors?.[0].path]).toEqual([400, '/body/url']);
    expect(await client.get('/api/webhooks')).toEqual(before);
  });

  it('on changes too', async () => {
    const { id } = (await create()).body;
    expect((await call('PATCH', `/api/webhooks/${id}`, { url: 'http://10.0.0.1/' })).body.errors[0].path).toBe(
      '/body/url',
    );
    expect((await client.get(`/api/webhooks/${id}`)).url).toBe(url);
  });

  it('except in networks that WEBHOOK_ALLOW names, however the address is written', async () => {
    for (const allowed of [
      'http://127.0.0.1:1/',
      'http://2130706433:1/',
      'http://localhost:1/',
      'http://[::ffff:7f00:1]:1/',
    ])
      expect((await create({ url: allowed })).status).toBe(201);
  });

  it('without TLS in production, except in those networks', async () => {
    const production = await startService({ mode: 'production', env: { WEBHOOK_ALLOW: '127.0.0.0/8' } });
    const { call: inProduction, segment } = clientOf(production);
    await segment('S');
    const { id } = (await inProduction('POST', '/api/feeds', { name: 'f', segments: ['S'] })).body;
    const creating = async (address: string) =>
      (await inProduction('POST', '/api/webhooks', { url: address, feed: id })).status;
    expect(await creating('http://93.184.215.14/')).toBe(400);
    expect(await creating('https://93.184.215.14/')).toBe(201);
    expect(await creating('http://127.0.0.1:1/')).toBe(201);
    await production.stop();
  });
});

it.each([
  [{ url }, '/body'],
  [{ feed: 1 }, '/body'],
  [{ url, feed: '1' }, '/body/feed'],
  [{ url, feed: 0 }, '/body/feed'],
  [{ url, feed: 1.5 }, '/body/feed'],
  [{ url: 7, feed: 1 }, '/body/url'],
  [{ url, feed: 1, name: 'x' }, '/body/name'],
  [{ url, feed: 1, after: 'nonsense' }, '/body/after'],
])('%j is refused at %s', async (body, path) => {
  const answer = await call('POST', '/api/webhooks', body);
  expect([answer.status, answer.body.errors[0].path]).toEqual([400, path]);
});

it('malformed input is refused before a missing webhook', async () => {
  expect((await create({ feed: 999_999 })).body.code).toBe('feed_unknown');
  expect((await create({ feed: 999_999, url: 'http://10.0.0.1/' })).status).toBe(400);
  for (const [method, path, body] of [
    ['PATCH', '/api/webhooks/999999', { enabled: 'no' }],
    ['PATCH', '/api/webhooks/999999', {}],
    ['PATCH', '/api/webhooks/999999', { url: 'http://10.0.0.1/' }],
    ['POST', '/api/webhooks/999999/secret', { secret: 'x' }],
    ['GET', '/api/webhooks/999999/deliveries?cursor=x', undefined],
  ] as const)
    expect([method, path, (await call(method, path, body)).status]).toEqual([method, path, 400]);
});

it('a feed takes its webhooks with it', async () => {
  const doomed = (await call('POST', '/api/feeds', { name: 'doomed', segments: ['Followed'] })).body.id;
  const { id } = (await create({ feed: doomed })).body;
  expect((await call('DELETE', `/api/feeds/${doomed}`)).status).toBe(204);
  expect((await call('GET', `/api/webhooks/${id}`)).status).toBe(404);
});

it('a key with tags sees the webhooks of the feeds that it sees', async () => {
  await client.segment('Hidden', { tags: ['mail'] });
  const hidden = (await call('POST', '/api/feeds', { name: 'hidden', segments: ['Hidden'] })).body.id;
  const [ours, others] = [(await create()).body.id, (await create({ feed: hidden })).body.id];
  const { key } = (await call('POST', '/api/keys', { name: 'k', role: 'editor', tags: ['web'] })).body;
  const asKey = (method: string, path: string, body?: unknown) => service.call(method, path, { token: key, body });
  expect((await asKey('GET', `/api/webhooks/${ours}`)).status).toBe(200);
  const listed = (await asKey('GET', '/api/webhooks?limit=1000')).body.webhooks.map(({ id }: { id: number }) => id);
  expect(listed).toContain(ours);
  expect(listed).not.toContain(others);
  for (const [method, path, body] of [
    ['GET', ''],
    ['PATCH', '', { enabled: false }],
    ['DELETE', ''],
    ['GET', '/deliveries'],
    ['POST', '/test'],
    ['POST', '/secret'],
    ['POST', '/deliveries/1/replay'],
  ] as const)
    expect([path, (await asKey(method, `/api/webhooks/${others}${path}`, body)).body.code]).toEqual([
      path,
      'webhook_unknown',
    ]);
  expect((await asKey('POST', '/api/webhooks', { url, feed: hidden })).body.code).toBe('feed_unknown');
  expect((await asKey('POST', '/api/webhooks', { url, feed })).status).toBe(201);
  expect((await client.get(`/api/webhooks/${others}`)).enabled).toBe(true);
});

/** Deliveries as the sender stores them, oldest first. */
async function withDeliveries(count: number): Promise<number> {
  const { id } = (await create()).body;
  await service.db.write(sql`
    INSERT INTO webhook_deliveries (webhook_id, message_id, type, state, until_id, until_nonce, finished_at)
    SELECT ${id}, 'msg_' || n, 'changes', 'succeeded', 1, 1, statement_timestamp() - make_interval(days => ${count} - n)
    FROM generate_series(1, ${count}::integer) n`);
  return id;
}
const messageIds = async (id: number, limit = 1_000) =>
  (await client.all(`/api/webhooks/${id}/deliveries`, 'deliveries', limit)).map(({ message_id }) => message_id);

it('deliveries are listed newest first', async () => {
  const id = await withDeliveries(5);
  expect(await messageIds(id, 2)).toEqual(['msg_5', 'msg_4', 'msg_3', 'msg_2', 'msg_1']);
  const { next_cursor } = await client.get(`/api/webhooks/${id}/deliveries?limit=2`);
  const other = await withDeliveries(1);
  expect((await call('GET', `/api/webhooks/${other}/deliveries?cursor=${next_cursor}`)).status).toBe(400);
  expect((await call('GET', '/api/webhooks/999999/deliveries')).status).toBe(404);
});

it('deliveries are kept as long as their changes, up to a limit', async () => {
  const id = await withDeliveries(10);
  await sweepDeliveries(service.db);
  expect(await messageIds(id)).toHaveLength(7);
  await service.db.write(sql`
    INSERT INTO webhook_deliveries (webhook_id, message_id, type, state, until_id, until_nonce, finished_at)
    SELECT ${id}, 'many_' || n, 'changes', 'succeeded', 1, 1, statement_timestamp() FROM generate_series(1, 10050) n`);
  await service.db.write(
    sql`INSERT INTO webhook_deliveries (webhook_id, message_id, type) VALUES (${id}, 'newest', 'test')`,
  );
  await sweepDeliveries(service.db);
  const [{ count = 0 } = {}] = await service.db.query<{ count: number }>(sql`
    SELECT count(*) AS count FROM webhook_deliveries WHERE webhook_id = ${id}`);
  expect(count).toBe(10_000);
});

it('only ended deliveries of the same webhook can be replayed', async () => {
  const [id, other] = [await withDeliveries(1), await withDeliveries(1)];
  const [{ id: delivery }] = (await client.get(`/api/webhooks/${id}/deliveries`)).deliveries;
  expect((await call('POST', `/api/webhooks/${other}/deliveries/${delivery}/replay`)).body.code).toBe(
    'delivery_unknown',
  );
  expect((await call('POST', `/api/webhooks/${id}/deliveries/999999/replay`)).body.code).toBe('delivery_unknown');
  // The sender does not see to it.
  await service.db.write(sql`
    UPDATE webhooks SET lease_owner = gen_random_uuid(), leased_until = 'infinity' WHERE id = ${id}`);
  await service.db.write(sql`
    UPDATE webhook_deliveries SET state = 'pending', finished_at = NULL WHERE id = ${delivery}`);
  expect(await call('POST', `/api/webhooks/${id}/deliveries/${delivery}/replay`)).toMatchObject({
    status: 409,
    body: { code: 'delivery_pending' },
  });
});

it('pending tests are bounded', async () => {
  const { id } = (await create()).body;
  await service.db.write(sql`
    UPDATE webhooks SET lease_owner = gen_random_uuid(), leased_until = 'infinity' WHERE id = ${id}`);
  const answers = [];
  for (let i = 0; i < 21; i++) answers.push(await call('POST', `/api/webhooks/${id}/test`));
  expect(answers.map(({ status }) => status)).toEqual([...Array(20).fill(202), 503]);
  await call('DELETE', `/api/webhooks/${id}`);
});

it('the number of webhooks is bounded', async () => {
  await service.db.write(sql`
    INSERT INTO webhooks (feed_id, url, secret, created_by, enabled, disabled_reason)
    SELECT ${feed}, ${url}, '\\x00', 'test', false, 'paused' FROM generate_series(1, 1000)`);
  expect(await create()).toMatchObject({ status: 409, body: { code: 'webhooks_exhausted' } });
  await service.db.write(sql`DELETE FROM webhooks WHERE created_by = 'test'`);
  expect((await create()).status).toBe(201);
});
