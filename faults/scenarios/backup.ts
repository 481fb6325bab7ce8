import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, createCluster, installedTools } from '@kohort/testkit/cluster.ts';
import { countUnfolded } from '@kohort/testkit/fold.ts';
import { demand, fieldOf, signIn } from '@kohort/testkit/http.ts';
import { atEnd } from '@kohort/testkit/processes.ts';
import { ADMIN_PASSWORD } from '@kohort/testkit/service.ts';
import { collidingSequences, dump, fingerprint, restore } from '../backup.ts';
import { type Row, type Scenario, skipped } from '../report.ts';
import { startService } from '../service.ts';
import { prepare, settled } from '../stage.ts';
import { startTraffic } from '../traffic.ts';

const QUIET = 'Backup and restore by the very commands of docs/operations.md';
const BUSY = 'Backup under 200 writes/s, restore';

/** Creates one of everything that has a table. */
async function furnish(url: string, token: string): Promise<void> {
  const make = (path: string, body: object) => demand(url, 'POST', path, { body, token });
  await make('/api/segments', { slug: 'half', percentage: 50, tags: ['a', 'b'], description: 'Ünï' });
  await make('/api/segments', { slug: 'pro', condition: { plan: 'pro', $notInSegment: 'half' } });
  await make('/api/segments', { slug: 'gone' });
  await make('/api/users', {
    external_id: 'ext é',
    name: 'Name',
    attributes: { plan: 'pro', n: 1.5, list: [1, null] },
  });
  await make('/api/users/ext:soon/segments', { slug: 'gone', ttl: 1 });
  await demand(url, 'PATCH', '/api/users/ext:soon', { body: { attributes: { plan: 'free' } }, token });
  await demand(url, 'PATCH', '/api/segments/half', { body: { percentage: 60 }, token });
  await make('/auth/sign-up', { name: 'x', username: 'somebody', password: 'quite a long password' });
  await make('/api/keys', { name: 'k', role: 'editor' });
  await demand(url, 'DELETE', '/api/segments/gone', { token });
}

/** Checks that a service runs on a restored database and creates new rows without collisions. */
async function useAgain(cluster: Cluster, database: string): Promise<string[]> {
  const service = await startService({ databaseUrl: cluster.urlOf(database) });
  const faults: string[] = [];
  try {
    const token = await signIn(service.url, 'admin', ADMIN_PASSWORD);
    const make = (path: string, body: object) => demand(service.url, 'POST', path, { body, token });
    const highest = await cluster.connected(async (client) => {
      const { rows } = await client.query<{ users: string; segments: string; keys: string }>(
        'SELECT (SELECT max(id) FROM users) AS users, (SELECT max(id) FROM segments) AS segments, (SELECT max(id) FROM api_keys) AS keys',
      );
      return rows[0];
    }, database);
    const user = Number(fieldOf(await make('/api/users', { external_id: 'after the restore' }), 'id'));
    const segment = Number(fieldOf(await make('/api/segments', { slug: 'after-the-restore' }), 'id'));
    const key = Number(fieldOf(await make('/api/keys', { name: 'after', role: 'viewer' }), 'id'));
    await make(`/api/users/${user}/segments`, { slug: 'after-the-restore' });
    if (user <= Number(highest?.users)) faults.push(`user id ${user}`);
    if (segment <= Number(highest?.segments)) faults.push(`segment id ${segment}`);
    if (key <= Number(highest?.keys)) faults.push(`key id ${key}`);
    const segments = fieldOf(await demand(service.url, 'GET', `/api/users/${user}/segments`, { token }), 'segments');
    if (!Array.isArray(segments) || !segments.includes('after-the-restore'))
      faults.push('a write after the restore is not read');
  } finally {
    await service.stop();
  }
  return faults;
}

export const backup: Scenario = async ({ random, quick }) => {
  const tools = await installedTools();
  if (!tools) {
    return [
      skipped(
        QUIET,
        'the clients of PostgreSQL and a server of their version are not installed (in /usr/lib/postgresql)',
      ),
    ];
  }
  const folder = await mkdtemp(join(tmpdir(), 'kohort-faults-dump-'));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  // As on a machine with LC_ALL=C, where no template is in UTF-8.
  const cluster = await createCluster({ tools, encoding: 'SQL_ASCII' });
  const drill = { cluster, bin: tools.bin, folder };
  const service = await startService({ databaseUrl: cluster.url });
  const { ledger, token } = await prepare(cluster, service.url, { users: 200, random });
  await furnish(service.url, token);
  const traffic = startTraffic({ ledger, port: () => service.port, token: () => token, rate: 200 });
  await sleep(quick ? 1_000 : 3_000);
  const rows: Row[] = [];

  // While writes go on: what was acknowledged before the dump began is in it, and it is of one moment.
  await traffic.pause();
  await settled(cluster);
  const before = await cluster.connected(async (client) =>
    Number((await client.query<{ n: string }>('SELECT count(*) AS n FROM history')).rows[0]?.n),
  );
  traffic.resume();
  await dump(drill);
  await traffic.pause();
  await restore(drill, 'busy');
  const [unfolded, dumped] = await cluster.connected(async (client) => {
    const { rows: found } = await client.query<{ n: string }>('SELECT count(*) AS n FROM history');
    return [await countUnfolded(client), Number(found[0]?.n)] as const;
  }, 'busy');
  rows.push({
    scenario: BUSY,
    times: 1,
    promised: 'what was acknowledged before is in it, the state is the fold of the history',
    seen: `${before} history rows before, ${dumped} in the dump, ${unfolded} pairs not the fold`,
    held: dumped >= before && unfolded === 0,
  });

  // Without writes everything must be equal. The queue stops with the service.
  await traffic.stop();
  await service.stop();
  const source = await fingerprint(cluster, 'kohort');
  await dump(drill);
  await restore(drill, 'quiet');
  const restored = await fingerprint(cluster, 'quiet');
  const different = [...source].filter(([name, sum]) => restored.get(name) !== sum).map(([name]) => name);
  const colliding = await collidingSequences(cluster, 'quiet');
  const folded = await cluster.connected((client) => countUnfolded(client), 'quiet');
  const faults = await useAgain(cluster, 'quiet');
  await cluster.stop();
  const count = [...source.values()].reduce((sum, one) => sum + Number(one.split(' ')[0]), 0);
  rows.unshift({
    scenario: `${QUIET} (PostgreSQL ${tools.version})`,
    times: 1,
    promised:
      'same counts and checksums, the state is the fold of the history, next ids do not collide, a service whose role is no superuser runs on it',
    seen: `${source.size} tables with ${count} rows, ${different.length} different ${different.join(', ')}; ${folded} not the fold; ${colliding.length} sequences collide ${colliding.join(', ')}; ${faults.length === 0 ? 'a service made new users, segments, keys and memberships' : faults.join(', ')}`,
    held: different.length + folded + colliding.length + faults.length === 0 && restored.size === source.size,
  });
  return rows;
};
