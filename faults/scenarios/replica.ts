import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, createCluster } from '@kohort/testkit/cluster.ts';
import { call, demand, fieldOf, signIn } from '@kohort/testkit/http.ts';
import { ADMIN_PASSWORD } from '@kohort/testkit/service.ts';
import { type Row, type Scenario, seconds } from '../report.ts';
import { startService } from '../service.ts';

interface Seen {
  reads: number;
  /** Reads that did not show what had been acknowledged before them. */
  stale: number;
  readonly failures: string[];
  slowestMs: number;
}

interface Stage {
  readonly url: string;
  readonly token: string;
  readonly user: number;
}

const eventual = { consistency: 'eventual' };

/** Writes, and at once reads in each way that a replica may answer, until it is stopped. */
async function writeAndRead({ url, token, user }: Stage, isOver: () => boolean): Promise<Seen> {
  const seen: Seen = { reads: 0, stale: 0, failures: [], slowestMs: 0 };
  const read = async (path: string, headers: Record<string, string>, expected: string) => {
    const began = performance.now();
    const { status, text } = await call(url, 'GET', path, { token, headers });
    seen.reads++;
    seen.slowestMs = Math.max(seen.slowestMs, performance.now() - began);
    if (status !== 200) seen.failures.push(`${path} ${status} ${text}`);
    else if (text !== expected) seen.stale++;
  };
  for (let isIn = true; !isOver(); isIn = !isIn) {
    const path = `/api/users/${user}/segments`;
    if (isIn) await demand(url, 'POST', path, { body: { slug: 'list' }, token });
    else await demand(url, 'DELETE', `${path}/list`, { token });
    await read('/api/segments/list/count', {}, `{"count":${isIn ? 1 : 0}}`);
    await read(path, eventual, `{"segments":[${isIn ? '"list"' : ''}]}`);
  }
  return seen;
}

async function replicaReads(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(/^kohort_replica_reads_total\{answered_by="replica".*\} (\d+)/m.exec(metrics)?.[1] ?? 0);
}

async function tryStrike(
  stage: Stage,
  name: string,
  strike: () => Promise<void>,
  isUsedAfterwards: boolean,
): Promise<Row> {
  let isOver = false;
  const running = writeAndRead(stage, () => isOver);
  await sleep(1_000);
  await strike();
  await sleep(2_500);
  const before = await replicaReads(stage.url);
  await sleep(1_500);
  const isUsed = (await replicaReads(stage.url)) > before;
  isOver = true;
  const { reads, stale, failures, slowestMs } = await running;
  return {
    scenario: `The replica ${name}`,
    times: 1,
    promised: `every read shows what was acknowledged, none fails, the replica is ${isUsedAfterwards ? '' : 'not '}used afterwards`,
    seen: `${reads} reads, ${stale} stale, ${failures.length} failed${failures[0] ? ` (${failures[0]})` : ''}, the slowest ${seconds(slowestMs)}; ${isUsed ? 'used' : 'not used'} afterwards`,
    held: stale === 0 && failures.length === 0 && reads > 0 && isUsed === isUsedAfterwards,
  };
}

function strikesOn(standby: Cluster): readonly (readonly [name: string, strike: () => Promise<void>])[] {
  const say = (statement: string) => standby.connected(async (client) => void (await client.query(statement)));
  return [
    [
      'stops replaying for two seconds',
      async () => {
        await say('SELECT pg_wal_replay_pause()');
        await sleep(2_000);
        await say('SELECT pg_wal_replay_resume()');
      },
    ],
    [
      'stands still for four seconds',
      async () => {
        await standby.freeze();
        await sleep(4_000);
        await standby.thaw();
      },
    ],
    [
      'is killed, and starts again',
      async () => {
        await standby.kill();
        await sleep(1_000);
        await standby.start();
      },
    ],
  ];
}

/** A replica for reads is stopped, delayed and promoted while an instance reads what it has just written. */
export const replica: Scenario = async () => {
  const cluster = await createCluster();
  const standby = await cluster.createStandby();
  const service = await startService({ databaseUrl: cluster.url, env: { READ_DATABASE_URL: standby.url } });
  const token = await signIn(service.url, 'admin', ADMIN_PASSWORD);
  await demand(service.url, 'POST', '/api/segments', { body: { slug: 'list' }, token });
  const user = Number(fieldOf(await demand(service.url, 'POST', '/api/users', { body: {}, token }), 'id'));
  const stage = { url: service.url, token, user };
  const rows: Row[] = [];
  for (const [name, strike] of strikesOn(standby)) rows.push(await tryStrike(stage, name, strike, true));
  rows.push(await tryStrike(stage, 'is promoted', () => standby.promote(), false));
  await service.stop();
  await standby.stop();
  await cluster.stop();
  return rows;
};
