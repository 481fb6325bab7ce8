import { createDatabase } from '@kohort/testkit/database.ts';
import { signIn } from '@kohort/testkit/http.ts';
import { ADMIN_PASSWORD, launch, production } from '@kohort/testkit/service.ts';
import { expect, it } from 'vitest';
import { receiverEnv } from './greedy/fed.ts';
import { isWorthTrying } from './greedy/inputs.ts';
import { tryAll, turnLimitMs } from './greedy/try-all.ts';
import { watchTurns } from './greedy/turns.ts';
import { makeWorld } from './greedy/world.ts';

const fed = { definitions: 12, members: 300 };

/** In small; the whole is `npm run faults -- --only greedy`. */
it('no call has the process to itself for long, however large it is', { timeout: 600_000 }, async () => {
  const database = await createDatabase();
  const service = await launch(production(database.url, receiverEnv), ['--inspect=127.0.0.1:0']);
  try {
    const token = await signIn(service.url, 'admin', ADMIN_PASSWORD);
    const world = await makeWorld(service.url, token, { users: 30, lists: 60, dynamic: 10, crowdedLists: 3_000, fed });
    const turns = await watchTurns(service.stdout() + service.stderr(), turnLimitMs);
    const tried = await tryAll(world, { turns, wanted: isWorthTrying });
    turns.close();
    expect(tried.length).toBeGreaterThan(80);
    expect(tried.filter(({ status }) => status === 500)).toEqual([]);
    const slow = tried.filter(({ longestMs }) => longestMs > turnLimitMs);
    expect(slow.map(({ operation, what, longestMs }) => [operation, what, longestMs])).toEqual([]);
  } finally {
    await service.stop();
    await database.drop();
  }
});
