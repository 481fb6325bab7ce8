import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { findBinaries } from '@kohort/embedded/binaries.ts';
import { startCluster, stopCluster } from '@kohort/embedded/cluster.ts';
import { freePort } from '@kohort/embedded/free-port.ts';
import { runnerFor } from '@kohort/embedded/run-as.ts';
import { type EmbeddedPostgres, startEmbedded } from '@kohort/embedded/start.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import { call, signIn } from '@kohort/testkit/http.ts';
import { signalPid } from '@kohort/testkit/processes.ts';
import { reap } from '@kohort/testkit/reaper.ts';
import {
  ADMIN_PASSWORD,
  type DataFolder,
  dataFolder,
  familyOf,
  launch,
  postmasterOf,
  type Running,
  spawnService,
} from '@kohort/testkit/service.ts';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let data: DataFolder;
let postgres: EmbeddedPostgres;
let service: Running;
let token: string;
let stopAgain: (() => Promise<unknown>) | undefined;

beforeAll(async () => {
  data = await dataFolder({ open: true });
  reap({ cluster: join(data.folder, 'postgres') });
  postgres = await startEmbedded({ folder: data.folder, settings: { fsync: 'off' } });
  service = await launch(env());
  token = await signIn(service.url, 'admin', ADMIN_PASSWORD);
  await call(service.url, 'POST', '/api/segments', { body: '{"slug":"A"}' });
  await call(service.url, 'POST', '/api/users/1/segments', { body: '{"slug":"A"}' });
});
afterAll(async () => {
  await service.kill('SIGTERM');
  await (stopAgain ?? postgres.stop)();
  await data.remove();
});

const env = () => ({
  MODE: 'evaluation',
  DATABASE_URL: postgres.url,
  DATA_DIR: data.folder,
  ADMIN_PASSWORD,
  LOG_LEVEL: 'fatal',
});

const calls = [
  ['GET', '/api/users/1/segments'],
  ['GET', '/api/users/1/segments?'],
  ['POST', '/api/users/1/segments', '{"slug":"A"}'],
  ['DELETE', '/api/users/1/B'],
  ['POST', '/api/segments', '{"slug":"B"}'],
  ['POST', '/auth/sign-up', '{"name":"x","username":"x","password":"x"}'],
  ['POST', '/auth/sign-in', `{"username":"admin","password":"${ADMIN_PASSWORD}"}`],
  ['GET', '/api/segments', undefined, true],
  ['GET', '/api/users', undefined, true],
  ['GET', '/api/segments/A/count', undefined, true],
  ['POST', '/api/resolve', '{"users":["1"]}', true],
] as const;

async function all() {
  return Promise.all(
    calls.map(async ([method, path, body, needsToken]) => {
      const answer = await call(service.url, method, path, {
        ...(body !== undefined && { body }),
        token: needsToken ? token : undefined,
      });
      return { path, answer };
    }),
  );
}
/** Every call is answered 503, as a problem that says when to come again. */
async function expectAway(): Promise<void> {
  for (const { path, answer } of await all()) {
    expect([path, answer.status, answer.type]).toEqual([path, 503, 'application/problem+json; charset=utf-8']);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(answer.headers.get('x-request-id')).toBeTruthy();
    expect(answer.text).not.toMatch(/ECONN|127\.0\.0\.1|postgres|select /i);
  }
}
const isReady = async () => (await call(service.url, 'GET', '/readyz')).status === 200;
async function expectBack(): Promise<void> {
  await eventually(isReady);
  const answer = await call(service.url, 'GET', '/api/users/1/segments');
  expect([answer.status, answer.text]).toEqual([200, '{"segments":["A"]}']);
  for (const one of await all())
    expect([one.path, one.answer.status]).toEqual([one.path, expect.toBeOneOf([200, 404, 409])]);
}

describe('PostgreSQL that', () => {
  it('terminates every connection of the service does not end it, and calls work again at once', async () => {
    const client = new pg.Client(postgres.url);
    await client.connect();
    for (let round = 0; round < 3; round++) {
      const inFlight = all();
      const { rowCount } = await client.query(
        // Waits for the end of each: until then it would still take a call.
        'SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
      );
      expect(rowCount).toBeGreaterThan(1);
      for (const { path, answer } of await inFlight) {
        expect([path, answer.status]).toEqual([path, expect.toBeOneOf([200, 404, 409, 503])]);
      }
      await expectBack();
    }
    await client.end();
  });

  it('is frozen makes calls 503 while it is, and works again after its return', async () => {
    const postmaster = await postmasterOf(data.folder);
    // It first: what it forks after we have looked would run on.
    signalPid(postmaster, 'SIGSTOP');
    const family = await familyOf(postmaster);
    for (const pid of family) signalPid(pid, 'SIGSTOP');
    try {
      expect(family.length).toBeGreaterThan(5);
      await expectAway();
      expect(await isReady()).toBe(false);
      expect((await call(service.url, 'GET', '/healthz')).status).toBe(200);
      await expectAway();
    } finally {
      for (const pid of family) signalPid(pid, 'SIGCONT');
    }
    await expectBack();
  });

  it('is stopped makes calls 503, and works again after its return', async () => {
    const url = new URL(postgres.url);
    await postgres.stop();
    await eventually(async () => !(await isReady()));
    await expectAway();
    expect((await call(service.url, 'GET', '/readyz')).headers.get('retry-after')).toBe('1');

    // A service that starts meanwhile waits.
    const port = String(await freePort());
    const early = `http://127.0.0.1:${port}`;
    const second = await spawnService({ ...env(), PORT: port });
    await eventually(async () => (await call(early, 'GET', '/healthz')).status === 200);
    for (const path of ['/readyz', '/api/users/1/segments']) {
      const answer = await call(early, 'GET', path);
      expect([path, answer.status, answer.headers.get('retry-after')]).toEqual([path, 503, '1']);
    }

    const cluster = join(data.folder, 'postgres');
    const { pg_ctl } = await findBinaries();
    const { uid, gid } = await stat(cluster);
    const runAs = await runnerFor(process.getuid?.() === 0 ? { uid, gid } : undefined, [cluster, pg_ctl]);
    const options = { folder: cluster, logFile: join(cluster, 'postgres.log'), port: Number(url.port) };
    await startCluster(runAs, pg_ctl, options);
    stopAgain = () => stopCluster(runAs, pg_ctl, cluster);
    await expectBack();
    await eventually(async () => (await call(early, 'GET', '/readyz')).status === 200);
    expect((await call(early, 'GET', '/api/users/1/segments')).text).toBe('{"segments":["A"]}');
    await second.kill('SIGTERM');
  });

  it('was away lets the queue go on with its jobs', async () => {
    const client = new pg.Client(postgres.url);
    await client.connect();
    await client.query(
      "INSERT INTO jobs (kind, state, internal, options, actor) VALUES ('sweep_auth', 'queued', true, '{}', 'system')",
    );
    const left = async () => (await client.query("SELECT FROM jobs WHERE kind = 'sweep_auth'")).rowCount;
    await eventually(async () => (await left()) === 0);
    await client.end();
  });
});
