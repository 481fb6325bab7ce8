import { installedTools } from '@kohort/testkit/cluster.ts';
import { endAll } from '@kohort/testkit/processes.ts';
import { afterAll, expect, it } from 'vitest';
import { backup } from './scenarios/backup.ts';
import { seededRandom } from './stage.ts';

const tools = await installedTools();
afterAll(() => endAll());

// The embedded PostgreSQL comes without pg_dump; the drill needs a server and clients of one version.
it.skipIf(!tools)(
  `the commands of docs/operations.md bring everything back${tools ? '' : ' (skipped: no PostgreSQL in /usr/lib/postgresql)'}`,
  async () => {
    const rows = await backup({ quick: true, seed: 1, random: seededRandom(1), minutes: 1 });
    expect(rows).toHaveLength(2);
    for (const { held, seen } of rows) expect(held, seen).toBe(true);
  },
);
