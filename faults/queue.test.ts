import { createDatabase } from '@kohort/testkit/database.ts';
import { endAll } from '@kohort/testkit/processes.ts';
import { afterAll, expect, it } from 'vitest';
import { onInstances, tryQueue } from './queue.ts';

afterAll(() => endAll());

/** In small; the whole is `npm run faults -- --only queue`. */
it('three processes do each import once, though one is killed and an import is cancelled', async () => {
  const database = await createDatabase();
  const sizes = { instances: 3, large: 60_000, cancelled: 60_000, others: 4, rows: 1_000 };
  const outcome = await onInstances(database.url, sizes.instances, (client, services) =>
    tryQueue(client, services, sizes),
  );
  expect(outcome.faults).toEqual([]);
  await database.drop();
});
