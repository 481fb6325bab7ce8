import { createDatabase } from '@kohort/testkit/database.ts';
import { signIn } from '@kohort/testkit/http.ts';
import { ADMIN_PASSWORD, launch, production } from '@kohort/testkit/service.ts';
import { expect, it } from 'vitest';
import type { Input } from './greedy/inputs.ts';
import { tryAll, turnLimitMs } from './greedy/try-all.ts';
import { watchTurns } from './greedy/turns.ts';
import { makeWorld } from './greedy/world.ts';

/** What is wrong whatever the call is tried with one of them here; the whole is `npm run faults -- --only greedy`. */
function isWanted({ operation, what, method }: Input): boolean {
  const isSame = method === 'GET' ? /query|ranges|cookies|hops/.test(what) : /MiB|fields|million|JSON/.test(what);
  return !isSame || ['createSegment', 'listSegments', 'importUsers', 'previewSegment'].includes(operation);
}

it('no call has the process to itself for long, however large it is', async () => {
  const database = await createDatabase();
  const service = await launch(production(database.url), ['--inspect=127.0.0.1:0']);
  try {
    const token = await signIn(service.url, 'admin', ADMIN_PASSWORD);
    const world = await makeWorld(service.url, token, { users: 30, lists: 60, dynamic: 10, crowdedLists: 3_000 });
    const turns = await watchTurns(service.stdout() + service.stderr());
    const tried = await tryAll(world, turns, isWanted);
    turns.close();
    expect(tried.length).toBeGreaterThan(80);
    expect(tried.filter(({ status }) => status === 500)).toEqual([]);
    const slow = tried.filter(({ longestMs }) => longestMs > turnLimitMs);
    expect(slow.map(({ operation, what, longestMs }) => [operation, what, longestMs])).toEqual([]);
  } finally {
    await service.stop();
    await database.drop();
  }
}, 300_000);
