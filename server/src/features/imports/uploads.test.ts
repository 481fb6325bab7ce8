import type { IncomingMessage } from 'node:http';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { untilPasses } from '@kohort/testkit/eventually.ts';
import { open, type Wire } from '@kohort/testkit/wire.ts';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { type Listening, listen } from '../../../test/listen.ts';
import { ADMIN_PASSWORD } from '../../../test/service.ts';

let database: TestDatabase;
let service: Listening;
let token: string;
beforeAll(async () => {
  database = await createDatabase();
  service = await listen(database.url);
  const answer = await call('POST', '/auth/sign-in', { username: 'admin', password: ADMIN_PASSWORD });
  token = answer.token;
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

async function call(method: 'GET' | 'POST' | 'DELETE', url: string, payload?: object) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  return (await service.service.app.inject({ method, url, headers, ...(payload && { payload }) })).json();
}

const logged = vi.fn();
function watchLog(): void {
  for (const level of ['warn', 'error', 'fatal'] as const) {
    vi.spyOn(service.service.app.log, level).mockImplementation(logged);
  }
}
afterEach(() => {
  vi.restoreAllMocks();
  logged.mockClear();
});

async function begin(headers = '', credential = token): Promise<Wire> {
  const wire = await open(service.port);
  wire.write(
    `POST /api/users/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${credential}\r\nContent-Type: text/csv\r\n${headers}` +
      'Transfer-Encoding: chunked\r\n\r\n',
  );
  send(wire, 'external_id\n');
  return wire;
}

function send(wire: Wire, text: string): void {
  wire.write(`${text.length.toString(16)}\r\n${text}\r\n`);
}

/** More than is sent to the database at once. */
let user = 0;
const batch = () => Array.from({ length: 30_000 }, () => `${'x'.repeat(50)}${++user}\n`).join('');

async function jobBeingReceived(): Promise<number> {
  return untilPasses(async () => {
    const [found] = await service.db.query<{ id: number }>({
      text: "SELECT id FROM jobs WHERE state = 'receiving'",
      values: [],
    });
    if (!found) throw new Error('no job yet');
    return found.id;
  });
}

async function receiving(): Promise<number> {
  const [found] = await service.db.query<{ count: number }>({
    text: "SELECT count(*) AS count FROM jobs WHERE state = 'receiving'",
    values: [],
  });
  return found?.count ?? 0;
}

async function tables(): Promise<number> {
  const [found] = await service.db.query<{ count: number }>({
    text: "SELECT count(*) AS count FROM pg_class WHERE relnamespace = 'import_staging'::regnamespace AND relkind = 'r'",
    values: [],
  });
  return found?.count ?? 0;
}

it.each([
  ['', ''],
  [' under an Idempotency-Key', 'Idempotency-Key: 2f6c8d1c-cancelled\r\n'],
])(
  'a job that is cancelled while its file comes in%s: the file is let pass, and the answer names the job',
  async (_, headers) => {
    watchLog();
    const wire = await begin(headers);
    send(wire, batch());
    const id = await jobBeingReceived();
    await untilPasses(async () => expect(await tables()).toBe(1));
    expect(await call('DELETE', `/api/jobs/${id}`)).toMatchObject({ state: 'cancelled' });
    // Its table is swept under the upload, which then has something to put there.
    await untilPasses(async () => expect(await tables()).toBe(0));
    for (let i = 0; i < 3; i++) send(wire, batch());
    wire.write('0\r\n\r\n');
    const { status, text } = await wire.next();
    expect([status, text]).toEqual([202, JSON.stringify({ job: String(id) })]);
    expect(await call('GET', `/api/jobs/${id}`)).toMatchObject({ state: 'cancelled', added: 0, processed: 0 });
    expect(await tables()).toBe(0);
    expect(logged).not.toHaveBeenCalled();
    wire.socket.destroy();
  },
);

it('one caller who dawdles with uploads leaves room for others', async () => {
  const mine: Wire[] = [];
  for (let i = 0; i < 4; i++) {
    mine.push(await begin());
    await untilPasses(async () => expect(await receiving()).toBe(i + 1));
  }
  const refused = await begin();
  refused.write('0\r\n\r\n');
  expect(await refused.next()).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
  const { key } = await call('POST', '/api/keys', { name: 'nightly', role: 'editor' });
  const other = await begin('', key);
  other.write('0\r\n\r\n');
  expect(await other.next()).toMatchObject({ status: 202 });
  for (const wire of mine) wire.socket.destroy();
  await untilPasses(async () => expect(await receiving()).toBe(0));
  const again = await begin();
  again.write('0\r\n\r\n');
  expect(await again.next()).toMatchObject({ status: 202 });
  for (const wire of [refused, other, again]) wire.socket.destroy();
});

it('also when the end of the file is there before the sweep: nothing is left at once', async () => {
  const wire = await begin();
  send(wire, batch());
  const id = await jobBeingReceived();
  await untilPasses(async () => expect(await tables()).toBe(1));
  await call('DELETE', `/api/jobs/${id}`);
  wire.write('0\r\n\r\n');
  expect(await wire.next()).toMatchObject({ status: 202 });
  expect(await tables()).toBe(0);
  wire.socket.destroy();
});

it.each([
  ['', 'u1\n'],
  [', also one with errors', '"\n'],
])('an upload whose job was swept, because nothing was heard of it, is to be sent again%s', async (_, rest) => {
  watchLog();
  const wire = await begin();
  const id = await jobBeingReceived();
  await service.db.write({ text: 'DELETE FROM jobs WHERE id = $1', values: [id] });
  send(wire, rest);
  wire.write('0\r\n\r\n');
  const answer = await wire.next();
  expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
  expect(JSON.parse(answer.text)).toMatchObject({ code: 'unavailable', detail: expect.stringContaining('again') });
  expect(await tables()).toBe(0);
  expect(logged).not.toHaveBeenCalled();
  wire.socket.destroy();
});

it('a connection to the database that breaks is not taken for that of the client', async () => {
  const broken = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
  vi.spyOn(service.db, 'copyIn').mockRejectedValueOnce(broken);
  const wire = await begin();
  send(wire, 'a\n');
  wire.write('0\r\n\r\n');
  const answer = await wire.next();
  expect([answer.status, JSON.parse(answer.text).code]).toEqual([503, 'unavailable']);
  wire.socket.destroy();
});

it.each<[how: string, breakOff: (wire: Wire, request: IncomingMessage) => unknown]>([
  ['reset by the client', ({ socket }) => socket.resetAndDestroy()],
  ['ended by the client', ({ socket }) => socket.end()],
  ['broken in the middle of a chunk', ({ socket }) => socket.end('ffff\r\nx')],
  ['that is no HTTP any more', (wire) => wire.write('no chunk\r\n')],
  ['that stood still, and was broken off by us', (_, request) => request.destroy()],
])('an upload %s leaves nothing behind, and is not logged', async (_, breakOff) => {
  watchLog();
  let request: IncomingMessage | undefined;
  service.service.app.server.once('request', (one) => {
    request = one;
  });
  const wire = await begin();
  send(wire, batch());
  const id = await jobBeingReceived();
  await untilPasses(async () => expect(await tables()).toBe(1));
  if (!request) throw new Error('no request');
  breakOff(wire, request);
  await untilPasses(async () => expect(await call('GET', `/api/jobs/${id}`)).toMatchObject({ code: 'job_unknown' }));
  await untilPasses(async () => expect(await tables()).toBe(0));
  await untilPasses(() => expect(service.tracker.underWay).toBe(0));
  expect(logged.mock.calls).toEqual([]);
  wire.socket.destroy();
});
