import { randomUUID } from 'node:crypto';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { untilPasses } from '@kohort/testkit/eventually.ts';
import { exchange, open, type RawAnswer, type Wire } from '@kohort/testkit/wire.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Listening, listen } from '../../../test/listen.ts';

let database: TestDatabase;
let service: Listening;
let token: string;
beforeAll(async () => {
  database = await createDatabase();
  service = await listen(database.url);
  const credentials = JSON.stringify({ username: 'admin', password: 'correct horse battery' });
  const signedIn = await exchange(
    service.port,
    `POST /auth/sign-in HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: ${credentials.length}\r\n\r\n${credentials}`,
  );
  token = JSON.parse(signedIn.text).token;
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

const ROWS = ['external_id\n', ...Array.from({ length: 5 }, (_, i) => `u${i}\n`)];

/** An upload that has begun: the head and its first row. */
async function begin(key: string, query = ''): Promise<Wire> {
  const wire = await open(service.port);
  wire.write(
    `POST /api/users/import${query} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${token}\r\nContent-Type: text/csv\r\n` +
      `Idempotency-Key: ${key}\r\nTransfer-Encoding: chunked\r\n\r\n`,
  );
  send(wire, ROWS[0] ?? '');
  return wire;
}

function send(wire: Wire, text: string): void {
  wire.write(`${text.length.toString(16)}\r\n${text}\r\n`);
}

async function finish(wire: Wire, rows = ROWS.slice(1)): Promise<RawAnswer> {
  for (const row of rows) send(wire, row);
  wire.write('0\r\n\r\n');
  try {
    return await wire.next();
  } finally {
    wire.socket.destroy();
  }
}

const whole = async (key: string, rows = ROWS.slice(1), query = '') => finish(await begin(key, query), rows);
const code = ({ text }: RawAnswer) => JSON.parse(text).code;
const jobs = async () =>
  (await service.db.query<{ n: number }>(sql`SELECT count(*) AS n FROM jobs WHERE NOT internal`))[0]?.n ?? -1;
const holds = async () =>
  (await service.db.query<{ n: number }>(sql`SELECT count(*) AS n FROM idempotent_calls WHERE holder IS NOT NULL`))[0]
    ?.n;

it('while the file comes in, the same call is 409; afterwards it is told of the same job', async () => {
  const [key, before] = [randomUUID(), await jobs()];
  const slow = await begin(key);
  await expect.poll(holds).toBe(1);
  for (let i = 0; i < 3; i++) {
    const busy = await whole(key);
    expect([busy.status, code(busy), busy.headers['retry-after']]).toEqual([409, 'idempotency_in_flight', '1']);
  }
  expect(code(await whole(key, undefined, '?unknown=reject'))).toBe('idempotency_key_reused');
  const first = await finish(slow);
  expect(first.status).toBe(202);
  const again = await whole(key);
  expect([again.status, again.text, again.headers['idempotent-replayed']]).toEqual([202, first.text, 'true']);
  expect(code(await whole(key, [...ROWS.slice(1), 'one more\n']))).toBe('idempotency_key_reused');
  expect(await jobs()).toBe(before + 1);
});

it('cut into other pieces it is the same file', async () => {
  const key = randomUUID();
  const first = await whole(key);
  const again = await whole(key, [...ROWS.slice(1).join('')]);
  expect([first.status, again.text]).toEqual([202, first.text]);
});

it('a client that breaks off leaves the key free', async () => {
  const [key, before] = [randomUUID(), await jobs()];
  const broken = await begin(key);
  await expect.poll(holds).toBe(1);
  broken.socket.destroy();
  await expect.poll(holds).toBe(0);
  expect((await whole(key)).status).toBe(202);
  expect(await jobs()).toBe(before + 1);
});

it('a hold lapses with its process; should that one come back, it has lost the key and leaves nothing', async () => {
  const [key, before] = [randomUUID(), await jobs()];
  const frozen = await begin(key);
  await expect.poll(holds).toBe(1);
  // It renews its hold every few seconds, which may be right between the two.
  const taken = await untilPasses(async () => {
    await service.db.write(
      sql`UPDATE idempotent_calls SET held_until = statement_timestamp() WHERE holder IS NOT NULL`,
    );
    const answer = await whole(key);
    expect(answer.status).toBe(202);
    return answer;
  });
  const late = await finish(frozen);
  expect([late.status, code(late)]).toEqual([409, 'idempotency_in_flight']);
  expect((await whole(key)).text).toBe(taken.text);
  expect(await jobs()).toBe(before + 1);
});

it('a slow upload keeps its hold', async () => {
  const key = randomUUID();
  const slow = await begin(key);
  await expect.poll(holds).toBe(1);
  const until = async () =>
    (
      await service.db.query<{ at: Date }>(sql`SELECT held_until AS at FROM idempotent_calls WHERE holder IS NOT NULL`)
    )[0]?.at;
  const first = await until();
  await expect.poll(until).not.toEqual(first);
  expect((await finish(slow)).status).toBe(202);
  expect(await holds()).toBe(0);
});
