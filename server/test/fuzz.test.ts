import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import document from '../../openapi.json' with { type: 'json' };
import { createFuzzer, type Fuzzer, type Tried } from './fuzz/fuzz.ts';
import { sendTo } from './fuzz/http.ts';
import { type Listening, listen } from './listen.ts';
import { ADMIN_PASSWORD } from './service.ts';

/** FUZZ_SEED repeats a run, FUZZ_RUNS makes it longer. */
const seed = Number(process.env.FUZZ_SEED ?? Math.trunc(Math.random() * 2 ** 31));
const runs = Number(process.env.FUZZ_RUNS ?? 60);

let database: TestDatabase;
let service: Listening;
let sender: ReturnType<typeof sendTo>;
let fuzzer: Fuzzer;
const all: Tried[] = [];

beforeAll(async () => {
  database = await createDatabase();
  service = await listen(database.url, { mode: 'production' });
  sender = sendTo(service.port);
  fuzzer = await createFuzzer({
    send: sender.send,
    adminPassword: ADMIN_PASSWORD,
    seed,
    runs,
    forgive: async () => void (await service.db.write(sql`DELETE FROM throttles`)),
  });
});
afterAll(async () => {
  sender.close();
  await service.stop();
  await database.drop();
});

const ids = Object.values(document.paths).flatMap((methods) =>
  Object.values<{ operationId: string }>(methods).map(({ operationId }) => operationId),
);

describe(`every operation of the document, drawn and broken (seed ${seed}, ${runs} runs)`, () => {
  it.each(ids)('%s', async (id) => {
    const operation = fuzzer.operations.find((one) => one.id === id);
    if (!operation) throw new Error('the service does not document it');
    all.push(...(await fuzzer.tryOperation(operation)));
  });

  it('is tried in good measure: what is right succeeds, what is wrong is refused', () => {
    const done = new Set(all.filter(({ status }) => status < 300).map(({ operation }) => operation));
    // A job that is still under way is hard to come by, and a stream of flags never ends.
    const hard = new Set(['cancelJob', 'followFlags']);
    expect(ids.filter((id) => !done.has(id) && !hard.has(id))).toEqual([]);
    const statuses = new Set(all.map(({ status }) => status));
    for (const status of [200, 201, 204, 400, 401, 403, 404, 413, 415]) expect(statuses).toContain(status);
  });
});
