import { type Cluster, createCluster } from '@kohort/testkit/cluster.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import { endAll } from '@kohort/testkit/processes.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CuttableProxy, startProxy } from './proxy.ts';
import { causesOf } from './scenarios/kill.ts';
import { networkCauses } from './scenarios/network.ts';
import { type Supervised, startService } from './service.ts';
import { prepare, seededRandom, untilJobIsDone, verifyWhenSettled } from './stage.ts';
import { startTraffic } from './traffic.ts';
import { type Cause, rowOf, type Scene, tryCause } from './trial.ts';

/** The most important scenarios of `npm run faults`, once each: a service, its own PostgreSQL, and a network between them. */
let scene: Scene & { readonly cluster: Cluster; readonly service: Supervised };
let proxy: CuttableProxy;
let token: string;

beforeAll(async () => {
  const random = seededRandom(Date.now());
  const cluster = await createCluster();
  proxy = await startProxy(cluster.url);
  const service = await startService({ databaseUrl: proxy.url });
  const prepared = await prepare(cluster, service.url, { users: 200, random });
  const { ledger } = prepared;
  token = prepared.token;
  const traffic = startTraffic({ ledger, port: () => service.port, token: () => token, rate: 100 });
  scene = { cluster, service, ledger, traffic, random };
});
afterAll(async () => {
  await scene?.traffic.stop();
  await endAll();
});

/** Only the drill judges how long it takes: a test may share its machine. */
const patienceMs = 60_000;

async function survives(cause: Cause): Promise<void> {
  const patient = { ...cause, recovered: patienceMs };
  const row = rowOf(patient, [await tryCause(scene, patient)], { slowest: patienceMs });
  expect(row.held, row.seen).toBe(true);
}

describe('while 100 writes a second go on, nothing acknowledged is lost, nothing happens twice, and it recovers by itself', () => {
  it('when the service is killed', () => survives(causesOf(scene).service));
  it('when all of PostgreSQL is killed', () => survives(causesOf(scene).postgres));
  it('when one backend is killed', () => survives(causesOf(scene).backend));
  it('when PostgreSQL stands still', () => survives(causesOf(scene).frozen));
  it('when everything on the network vanishes, and the queue goes on as well', async () => {
    await survives(networkCauses(proxy, scene.random).halfOpen);
    expect(await untilJobIsDone(scene.cluster, scene.service.url, token, patienceMs)).toBeLessThan(patienceMs);
  });
  it('when connections are cut with the outcome of a COMMIT on them', async () => {
    const cuts = proxy.cuts();
    await survives(networkCauses(proxy, scene.random).afterCommit);
    expect(proxy.cuts()).toBeGreaterThan(cuts);
  });
});

it('and a write that is missing, done twice or not in the history would have been seen', async () => {
  const { cluster, ledger, traffic } = scene;
  await traffic.pause();
  const clean = await verifyWhenSettled(cluster, ledger);
  expect([clean.lost, clean.wrong, clean.unfolded]).toEqual([[], [], 0]);
  await cluster.connected(async (client) => {
    await client.query(`
      WITH gone AS (SELECT user_id, segment_id FROM memberships ORDER BY user_id, segment_id LIMIT 2)
      DELETE FROM memberships m USING gone g WHERE (m.user_id, m.segment_id) = (g.user_id, g.segment_id)`);
    await client.query(`
      INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
      SELECT m.user_id, m.segment_id, 'update', m.mode, date_trunc('milliseconds', clock_timestamp()), m.expires_at, 'twice'
      FROM memberships m ORDER BY m.user_id, m.segment_id LIMIT 1`);
    await client.query(`DELETE FROM users WHERE id = (SELECT max(id) FROM users WHERE name LIKE 'drill %')`);
  });
  const { lost, wrong, unfolded } = await verifyWhenSettled(cluster, ledger);
  expect([lost.length, wrong.length, unfolded]).toEqual([3, 1, 2]);
});

it('and so would a service that does everything twice', async () => {
  const { cluster, ledger, traffic } = scene;
  await cluster.connected((client) =>
    client.query(`
      CREATE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO users (external_id, name, attributes) VALUES (NEW.external_id, NEW.name, NEW.attributes);
        RETURN NULL;
      END $$;
      CREATE TRIGGER twice AFTER INSERT ON users FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION twice()`),
  );
  traffic.take();
  traffic.resume();
  await eventually(() => traffic.seen.acknowledged >= 100);
  await traffic.pause();
  const { wrong } = await verifyWhenSettled(cluster, ledger);
  expect(traffic.seen.unexpected).toEqual([]);
  expect(wrong.length).toBeGreaterThan(5);
  for (const one of wrong) expect(one).toMatch(/was registered 2 times by one call$/);
});
