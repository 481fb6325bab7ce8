import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../../test/database.ts';
import { type Listening, listen, open } from '../../../test/wire.ts';

let database: TestDatabase;
let service: Listening;
beforeAll(async () => {
  database = await createDatabase();
  service = await listen(database.url);
});
afterAll(() => database.drop());

it('a kept connection may be used once more while the service stops, is told that it was the last time, and is closed', async () => {
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const kept = await Promise.all(Array.from({ length: 3 }, () => open(service.port)));
  for (const wire of kept) {
    wire.write(get('/healthz'));
    const answer = await wire.next();
    expect([answer.status, answer.headers.connection]).toEqual([200, 'keep-alive']);
  }
  const [framework, hot, unused] = kept;
  if (!framework || !hot || !unused) throw new Error('no connection');
  const stopping = service.stop();
  await sleep(150);
  framework.write(get('/healthz'));
  // The fast path, which passes the framework by.
  hot.write(get('/api/users/1/segments'));
  for (const wire of [framework, hot]) {
    const answer = await wire.next();
    expect([answer.status, answer.headers.connection]).toEqual([200, 'close']);
  }
  await Promise.all(kept.map(({ ended }) => ended));
  await stopping;
}, 20_000);
