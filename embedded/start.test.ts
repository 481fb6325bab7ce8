import { chmod, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@kohort/testkit/folder.ts';
import { reap } from '@kohort/testkit/reaper.ts';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findBinaries } from './binaries.ts';
import { initCluster, readPidFile } from './cluster.ts';
import { EmbeddedError } from './error.ts';
import { runnerFor, systemUser } from './run-as.ts';
import { type EmbeddedPostgres, startEmbedded } from './start.ts';

let folder: string;
const running: EmbeddedPostgres[] = [];
beforeEach(async () => {
  folder = await temporaryFolder('embedded');
  reap({ cluster: join(folder, 'postgres') });
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
  await rm(folder, { recursive: true, force: true });
});

async function ask(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query(text).finally(() => client.end());
  return rows;
}

describe('the embedded PostgreSQL', () => {
  it('is started once, privately, if two services start on an empty folder; the other gets an error', async () => {
    const both = await Promise.allSettled([startEmbedded({ folder }), startEmbedded({ folder })]);
    for (const one of both) if (one.status === 'fulfilled') running.push(one.value);
    expect(running).toHaveLength(1);
    const refused = both.find((one) => one.status === 'rejected')?.reason;
    expect(refused).toBeInstanceOf(EmbeddedError);
    expect(refused.message).toMatch(/^Another Kohort is using the data folder/);

    // It listens on 127.0.0.1 only, asks for a password, and sorts text the same everywhere.
    const url = running[0]?.url ?? '';
    expect(await ask(url, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
    expect(
      await ask(url, "SELECT datlocprovider::text AS provider, datlocale FROM pg_database WHERE datname = 'kohort'"),
    ).toEqual([{ provider: 'b', datlocale: 'C.UTF-8' }]);
    const stranger = new URL(url);
    for (const password of ['', 'wrong']) {
      stranger.password = password;
      await expect(ask(stranger.href, 'SELECT 1')).rejects.toThrow(/password/);
    }
  });

  it('is refused in a folder with a cluster that it did not create', async () => {
    await mkdir(join(folder, 'postgres'));
    await writeFile(join(folder, 'postgres', 'PG_VERSION'), '15\n');
    const refused = await startEmbedded({ folder }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(EmbeddedError);
    expect((refused as Error).message).toMatch(/did not create/);
  });
});

describe('for root, whose folders others cannot enter', () => {
  it.runIf(process.getuid?.() === 0)('it is set up from a checkout in such a folder', async () => {
    const { initdb } = await findBinaries();
    await chmod(folder, 0o700);
    await cp(join(initdb, '../..'), join(folder, 'native'), { recursive: true, verbatimSymlinks: true });
    const own = join(folder, 'native/bin/initdb');
    const cluster = join(folder, 'cluster');
    const identity = await systemUser();
    if (!identity) throw new Error('no user for PostgreSQL');
    const runAs = await runnerFor(identity, [cluster, own]);
    await initCluster(runAs, own, identity, { folder: cluster, superuser: 'kohort', password: 'p', args: [] });
    expect(await readFile(join(cluster, 'PG_VERSION'), 'utf8')).toMatch(/^\d+\n$/);
  });
});

describe('its processes', () => {
  it.runIf(process.platform === 'linux')('inherit no secret from the environment of the service', async () => {
    const secrets = { ADMIN_PASSWORD: 'a password nobody may see', JWT_SECRET: 'a secret nobody may see' };
    Object.assign(process.env, secrets);
    try {
      running.push(await startEmbedded({ folder }));
    } finally {
      for (const name of Object.keys(secrets)) delete process.env[name];
    }
    const { pid } = (await readPidFile(join(folder, 'postgres'))) ?? { pid: 0 };
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8');
    expect(environment).toContain('LC_ALL=C');
    for (const [name, value] of Object.entries(secrets)) {
      expect(environment).not.toContain(name);
      expect(environment).not.toContain(value);
    }
  });

  it.runIf(process.getuid?.() === 0)('start when PATH does not name the folders of system programs', async () => {
    const { PATH } = process.env;
    process.env.PATH = '/nowhere';
    try {
      running.push(await startEmbedded({ folder }));
    } finally {
      process.env.PATH = PATH;
    }
    expect(await ask(running[0]?.url ?? '', 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});
