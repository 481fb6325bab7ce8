import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError } from './config.ts';
import { type EmbeddedPostgres, startEmbedded } from './embedded.ts';

let folder: string;
const running: EmbeddedPostgres[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kohort-embedded-'));
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
  it('is one and private, when two services start at once on an empty folder; the other is told', async () => {
    const both = await Promise.allSettled([startEmbedded({ folder }), startEmbedded({ folder })]);
    for (const one of both) if (one.status === 'fulfilled') running.push(one.value);
    expect(running).toHaveLength(1);
    const refused = both.find((one) => one.status === 'rejected')?.reason;
    expect(refused).toBeInstanceOf(ConfigError);
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

  it('is refused where somebody else’s cluster lies', async () => {
    await mkdir(join(folder, 'postgres'));
    await writeFile(join(folder, 'postgres', 'PG_VERSION'), '15\n');
    const refused = await startEmbedded({ folder }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ConfigError);
    expect((refused as Error).message).toMatch(/did not make/);
  });
});
