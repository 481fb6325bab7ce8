import { readFile } from 'node:fs/promises';
import { eventually, untilPasses } from '@kohort/testkit/eventually.ts';
import { call } from '@kohort/testkit/http.ts';
import { isAlive } from '@kohort/testkit/processes.ts';
import {
  type DataFolder,
  dataFolder,
  embeddedUrl,
  familyOf,
  launch,
  postmasterOf,
  type Running,
  runToEnd,
} from '@kohort/testkit/service.ts';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

let data: DataFolder;
let service: Running;
beforeAll(async () => {
  data = await dataFolder();
  service = await launch({ DATA_DIR: data.folder, WORKERS: '2' });
});
afterAll(async () => {
  await service.kill('SIGTERM');
  await data.remove();
});

const workers = () => workersOf(service, data.folder);

/** The workers among the children of a supervisor; the others are PostgreSQL. */
async function workersOf({ pid }: Running, folder: string): Promise<number[]> {
  const postmaster = await postmasterOf(folder);
  return (await familyOf(pid)).filter((one) => one !== pid && one !== postmaster);
}

/** How many sockets listen on the port of a service. */
async function listeners({ port }: Running): Promise<number> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const sockets = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/));
  return sockets.filter(([, local, , state]) => local?.endsWith(`:${hex}`) && state === '0A').length;
}

/** Until both workers serve: where each has a socket of its own, that shows. */
async function untilBothServe(running: Running, folder: string): Promise<void> {
  await eventually(async () => (await workersOf(running, folder)).length === 2);
  if (process.platform === 'linux') await eventually(async () => (await listeners(running)) === 2);
}

async function isRefused({ url }: Running): Promise<boolean> {
  return call(url, 'GET', '/healthz', { headers: { connection: 'close' } }).then(
    () => false,
    () => true,
  );
}

async function metric({ url }: Running, line: RegExp): Promise<number> {
  return Number(line.exec((await call(url, 'GET', '/metrics')).text)?.[1]);
}

/** Calls that any of the workers has received and not answered, this one aside. */
async function callsUnderWay(running: Running): Promise<number> {
  return (await metric(running, /^kohort_http_requests_under_way (\d+)$/m)) - 1;
}

/** Holds user 1, so that what is to change their memberships waits until it is let go. */
async function holdUser(folder: string): Promise<{ untilAwaited: () => Promise<void>; letGo: () => Promise<void> }> {
  const client = new pg.Client({ connectionString: await embeddedUrl(folder) });
  client.on('error', () => undefined);
  await client.connect();
  await client.query('BEGIN');
  await client.query('SELECT 1 FROM users WHERE id = 1 FOR UPDATE');
  return {
    async untilAwaited() {
      await eventually(async () => {
        const { rowCount } = await client.query(
          "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        );
        return rowCount !== 0;
      });
    },
    async letGo() {
      await client.query('ROLLBACK');
      await client.end();
    },
  };
}

describe('WORKERS=2', () => {
  it('serves one port with two processes, and says once what there is to say', async () => {
    await eventually(async () => (await workers()).length === 2);
    expect(service.stdout().match(/listens on/g)).toHaveLength(1);
    expect(service.stdout().match(/The account admin was created/g)).toHaveLength(1);
  });

  it('shows through each what was acknowledged by any', async () => {
    await call(service.url, 'POST', '/api/segments', { body: '{"slug":"S"}' });
    for (let n = 0; n < 20; n++) {
      await call(service.url, 'POST', '/api/users/1/segments', {
        body: '{"slug":"S"}',
        headers: { connection: 'close' },
      });
      const read = await call(service.url, 'GET', '/api/users/1/segments', { headers: { connection: 'close' } });
      expect(read.text).toBe('{"segments":["S"]}');
      await call(service.url, 'DELETE', '/api/users/1/S', { headers: { connection: 'close' } });
    }
  });

  it('sums the metrics of all', async () => {
    const reads = /^kohort_http_request_duration_seconds_count\{[^}]*method="GET"[^}]*users[^}]*\} (\d+)$/m;
    // A worker that has no time for it for long is left out.
    await untilPasses(async () => expect(await metric(service, reads)).toBe(20));
  });

  it('does not start where another listens', async () => {
    const other = await dataFolder();
    const { code, stderr } = await runToEnd({ DATA_DIR: other.folder, WORKERS: '2', PORT: String(service.port) });
    await other.remove();
    expect(code).toBe(1);
    expect(stderr).toBe(`Port ${service.port} on 127.0.0.1 is taken. Stop what uses it, or set PORT.\n`);
  });

  it('replaces a worker that was killed, by one that takes no call before it can answer it', async () => {
    const [victim = 0] = await workers();
    process.kill(victim, 'SIGKILL');
    await eventually(async () => !isAlive(victim));
    const seen = new Set<number>();
    const asking = { done: false };
    const asked = (async () => {
      while (!asking.done) {
        seen.add((await call(service.url, 'GET', '/readyz', { headers: { connection: 'close' } })).status);
      }
    })();
    await eventually(async () => !(await workers()).includes(victim));
    await untilBothServe(service, data.folder);
    asking.done = true;
    await asked;
    expect([...seen]).toEqual([200]);
  });

  it('reports the database as available once, not once per worker', async () => {
    expect((await call(service.url, 'GET', '/metrics')).text).toContain('\nkohort_database_available 1\n');
  });

  it('replaces one that dies again and again', async () => {
    for (let n = 0; n < 3; n++) {
      const before = await workers();
      process.kill(before.at(-1) ?? 0, 'SIGKILL');
      await eventually(async () => (await workers()).some((pid) => !before.includes(pid)));
    }
    await eventually(async () => (await workers()).length === 2);
  });
});

describe('WORKERS=2 stops gracefully', () => {
  let folder: DataFolder;
  let other: Running;
  // One after the other on the same data: an installation for each would take longer than its test.
  beforeAll(async () => {
    folder = await dataFolder();
  });
  afterAll(() => folder.remove());
  beforeEach(async () => {
    other = await launch({ DATA_DIR: folder.folder, WORKERS: '2' });
    await untilBothServe(other, folder.folder);
    await call(other.url, 'POST', '/api/segments', { body: '{"slug":"S"}' });
    await call(other.url, 'POST', '/api/users/1/segments', { body: '{"slug":"S"}' });
  });
  afterEach(() => other.kill('SIGTERM'));

  /** Twelve calls under way, which end after `tell` has told the service to stop. */
  async function callsThrough(tell: (pids: number[]) => void): Promise<{ statuses: number[]; pids: number[] }> {
    const pids = await workersOf(other, folder.folder);
    const held = await holdUser(folder.folder);
    const calls = Array.from({ length: 12 }, () =>
      call(other.url, 'POST', '/api/users/1/segments', {
        body: '{"slug":"S"}',
        headers: { connection: 'close' },
      }).then(({ status }) => status),
    );
    const all = Promise.all(calls).catch(() => [0]);
    // One that has not arrived is refused.
    await eventually(async () => (await callsUnderWay(other)) === calls.length);
    await held.untilAwaited();
    tell(pids);
    await eventually(() => isRefused(other));
    await held.letGo();
    return { statuses: await all, pids };
  }

  it('all of it, with exit code 0', async () => {
    expect(await other.kill('SIGTERM')).toMatchObject({ code: 0 });
    await expect(call(other.url, 'GET', '/healthz')).rejects.toThrow();
  });

  it('and finishes what is under way when all its processes are sent SIGTERM', async () => {
    const { statuses } = await callsThrough((pids) => {
      for (const pid of [...pids, other.pid]) process.kill(pid, 'SIGTERM');
    });
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(await other.exit).toMatchObject({ code: 0 });
  });

  it('and finishes what is under way when its supervisor is killed', async () => {
    const postmaster = await postmasterOf(folder.folder);
    try {
      const { statuses, pids } = await callsThrough(() => process.kill(other.pid, 'SIGKILL'));
      expect(new Set(statuses)).toEqual(new Set([200]));
      await eventually(async () => !pids.some(isAlive));
    } finally {
      process.kill(postmaster, 'SIGINT');
      await eventually(async () => !isAlive(postmaster));
    }
  });
});
