import { eventually } from '@kohort/testkit/eventually.ts';
import sql from 'sql-template-tag';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Answering, type Receiver, startReceiver } from '../../../test/receiver.ts';
import { type Service, startService } from '../../../test/service.ts';

const env = { WEBHOOK_ALLOW: '127.0.0.0/8' };
const plan = { pausesMs: [1], maxAskedMs: 50, giveUpMs: 3_600_000, random: () => 0.5 };
// No lease runs out on a busy machine, unless a test says so.
const sender = { plan, pollMs: 50, heartbeatMs: 100, leaseMs: 600_000, graceMs: 50 };

let first: Service;
let client: Client;
beforeAll(async () => {
  first = await startService({ env, sender });
  client = clientOf(first);
});
afterAll(() => first.stop());

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function followed(slug: string, answer?: Answering): Promise<{ target: Receiver; id: number }> {
  const target = await startReceiver(answer);
  stops.push(() => target.stop());
  await client.segment(slug);
  const feed = (await client.call('POST', '/api/feeds', { name: slug, segments: [slug] })).body.id;
  const { id } = (await client.call('POST', '/api/webhooks', { url: target.url, feed })).body;
  return { target, id };
}
const idsOf = ({ received }: Receiver) => received.map(({ headers }) => headers['webhook-id']);
const namesOf = ({ received }: Receiver) =>
  received.flatMap(({ body }) => body.changes.map((change: { external_id: string }) => change.external_id));

it('two instances take turns, and each message arrives once', async () => {
  const second = await startService({ env, sender, database: first.url });
  stops.push(() => second.stop());
  let underWay = 0;
  let most = 0;
  const { target } = await followed('Two', (response) => {
    most = Math.max(most, ++underWay);
    setImmediate(() => {
      underWay--;
      response.writeHead(204).end();
    });
  });
  const users = Array.from({ length: 40 }, (_, n) => `u${n}`);
  for (const user of users) await client.add(`ext:${user}`, 'Two');
  await eventually(() => namesOf(target).length >= users.length);
  expect(namesOf(target)).toEqual(users);
  expect(new Set(idsOf(target)).size).toBe(target.received.length);
  expect(most).toBe(1);
});

it('an instance that stops in the middle leaves its message to another, under the same id', async () => {
  const second = await startService({ env, sender, database: first.url });
  let isHanging = true;
  const { target } = await followed('Stopped', (response) => {
    if (!isHanging) response.writeHead(204).end();
  });
  await client.add('ext:a', 'Stopped');
  await eventually(() => target.received.length === 1);
  isHanging = false;
  // Whichever of the two is sending: its message is cut off at the end of the grace period, or its lease expires.
  await second.stop();
  await first.db.write(sql`
    UPDATE webhooks SET lease_owner = gen_random_uuid(), leased_until = statement_timestamp() WHERE lease_owner IS NOT NULL`);
  await eventually(() => target.received.length >= 2);
  expect(new Set(idsOf(target)).size).toBe(1);
  expect(target.received[1]?.text).toBe(target.received[0]?.text);
});

it('a batch of a killed process is sent under the same id once the lease has expired', async () => {
  const { target, id } = await followed('Killed', (response) => response.writeHead(500).end());
  await client.add('ext:a', 'Killed');
  await eventually(() => target.received.length > 1);
  // A killed process leaves a lease and a pending batch behind.
  await first.db.write(sql`
    UPDATE webhooks SET lease_owner = gen_random_uuid(), leased_until = statement_timestamp() + interval '300 milliseconds'
    WHERE id = ${id}`);
  await client.add('ext:b', 'Killed');
  const before = target.received.length;
  await eventually(() => target.received.length > before + 2);
  expect(new Set(idsOf(target)).size).toBe(1);
  expect(namesOf(target).every((name) => name === 'a')).toBe(true);
});

it('a webhook whose heartbeats are late is not sent to a second time by its own process', async () => {
  const alone = await startService({ env, sender: { ...sender, heartbeatMs: 600_000 } });
  stops.push(() => alone.stop());
  const hanging = await startReceiver(() => undefined);
  const other = await startReceiver();
  stops.push(hanging.stop, other.stop);
  const call = clientOf(alone);
  for (const [slug, url] of [
    ['Hanging', hanging.url],
    ['Other', other.url],
  ]) {
    await call.segment(slug ?? '');
    const feed = (await call.call('POST', '/api/feeds', { name: slug, segments: [slug] })).body.id;
    await call.call('POST', '/api/webhooks', { url, feed });
  }
  await call.add('ext:a', 'Hanging');
  await eventually(() => hanging.received.length === 1);
  await alone.db.write(sql`UPDATE webhooks SET leased_until = statement_timestamp() WHERE lease_owner IS NOT NULL`);
  // The poll that finds these would find the first one, too, and one begun later is sent later.
  for (const [i, user] of ['a', 'b', 'c'].entries()) {
    await call.add(`ext:${user}`, 'Other');
    await eventually(() => other.received.length === i + 1);
  }
  expect(hanging.received.map(({ headers, text }) => [headers['webhook-id'], text])).toHaveLength(1);
});
