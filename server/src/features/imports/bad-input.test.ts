import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Files, filesOf } from '../../../test/files.ts';
import { expectFold } from '../../../test/fold.ts';
import { type Service, startService } from '../../../test/service.ts';

let service: Service;
let client: Client;
let files: Files;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  files = filesOf(service);
  await client.segment('L');
  const names = Array.from({ length: 100_000 }, (_, i) => `u${i + 1}`).join('\n');
  expect(await files.run('/api/users/import', `external_id\n${names}\n`)).toMatchObject({
    state: 'done',
    added: 100_000,
  });
});
afterAll(async () => {
  await expectFold(service.db);
  await service.stop();
});

const rows = (count: number, row: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => row(i + 1)).join('\n');

// Those that are fine go last of all, since they put users in.
it.each<[what: string, text: string | Buffer, line: number, reason: RegExp]>([
  ['UTF-16', Buffer.from('\ufeffexternal_id\nu1\n', 'utf16le'), 1, /UTF-16: save it as UTF-8/],
  [
    'Windows-1251',
    Buffer.concat([Buffer.from('external_id\nu1\n'), Buffer.from([0xcf, 0xf0, 10])]),
    3,
    /not valid UTF-8/,
  ],
  ['NUL', 'external_id\nu1\nu\x002\n', 3, /holds NUL/],
  ['a line of 10 MB', `external_id\nu1\n${'x'.repeat(10_000_000)}\n`, 3, /longer than 1 MiB/],
  [
    '150,000 columns',
    `external_id,${rows(150_000, String).replaceAll('\n', ',')}\nu1\n`,
    1,
    /has more than 1000 cells/,
  ],
  ['a row of 1,001 cells', `external_id\nu1${','.repeat(1_000)}\n`, 2, /has more than 1000 cells/],
  ['no header', '1\n2\n', 1, /first line must name the columns, among user_id, external_id, expires_at; "1" is none/],
  ['nothing at all', '', 1, /empty/],
  ['unknown columns', 'external_id,colour\nu1,red\n', 1, /"colour" is none of them/],
  ['no column that names users', 'expires_at\n2099-01-01T00:00:00Z\n', 1, /user_id or external_id/],
  ['a column twice', 'external_id,external_id\nu1,u2\n', 1, /twice/],
  ['too many cells', 'external_id\nu1,u2\n', 2, /has 2 cells, the header has 1/],
  ['a row without a user', 'external_id,expires_at\n,2099-01-01T00:00:00Z\n', 2, /names no user/],
  ['an id that is none', 'user_id\n1\n01\n', 3, /user_id "01" is not an id/],
  ['an id beyond all ids', 'user_id\n9007199254740992\n', 2, /is not an id from 1 to 9007199254740991/],
  ['an external id that is too long', `external_id\n${'x'.repeat(256)}\n`, 2, /not be longer than 255 bytes/],
  ['an external id with a line break', 'external_id\nu1\n"u\n2"\n', 3, /control characters/],
  [
    'an unknown id at row 50,000',
    `external_id\n${rows(60_000, (i) => (i === 50_000 ? 'who' : `u${i}`))}\n`,
    50_001,
    /no user with this/,
  ],
  [
    'a wrong expiry at row 99,999',
    `external_id,expires_at\n${rows(100_000, (i) => `u${i},${i === 99_999 ? '2099-02-30T00:00:00Z' : ''}`)}\n`,
    100_000,
    /expires_at "2099-02-30T00:00:00Z" is not an RFC 3339 time/,
  ],
  ['a quote that is never closed', 'external_id\nu1\n"u2\nu3\n', 3, /never closed/],
])('%s fails the job with the line and the reason, and adds no one', async (_, text, line, reason) => {
  const job = await files.run('/api/segments/L/import', text);
  expect(job).toMatchObject({ state: 'failed', processed: 0, added: 0, updated: 0, removed: 0, unchanged: 0 });
  expect(job.errors[0]).toEqual({ line, message: expect.stringMatching(reason) });
  expect(await client.get('/api/segments/L/count')).toEqual({ count: 0 });
});

it.each<[what: string, line: string, reason: RegExp]>([
  ['no JSON', '{"external_id":', /not JSON/],
  ['more than 256 KiB', `{${rows(30_000, (i) => `"k${i}":0`).replaceAll('\n', ',')}}`, /longer than 256 KiB/],
  ['a list', '["u1"]', /not a JSON object/],
  ['an unknown field', '{"external_id":"u1","slug":"L"}', /"slug" is not a known field/],
  ['a __proto__', '{"external_id":"u1","__proto__":{}}', /"__proto__" is not a known field/],
  ['an id as text', '{"user_id":"1"}', /as a number/],
  ['an id that JSON rounds', '{"user_id":9007199254740993}', /as a number/],
  ['an expiry that is no text', '{"external_id":"u1","expires_at":1}', /must be a string/],
  ['a lone surrogate', '{"external_id":"\\ud800"}', /valid Unicode/],
  ['nobody', '{}', /names no user/],
])('NDJSON with %s fails likewise', async (_, line, reason) => {
  const job = await files.run('/api/segments/L/import', `{"external_id":"u1"}\n${line}\n`, 'application/x-ndjson');
  expect(job).toMatchObject({
    state: 'failed',
    added: 0,
    errors: [{ line: 2, message: expect.stringMatching(reason) }],
  });
});

it('reports the first hundred errors', async () => {
  const job = await files.run('/api/segments/L/import', `external_id\nu1\n${'"x"y\n'.repeat(500)}`);
  expect(job.errors).toHaveLength(100);
  expect([job.errors[0].line, job.errors[99].line]).toEqual([3, 102]);
});

it('refuses gzip at once', async () => {
  const zipped = gzipSync('external_id\nu1\n');
  const headers = { 'content-encoding': 'gzip' };
  expect(await files.send('/api/segments/L/import', zipped, 'text/csv', headers)).toMatchObject({ status: 415 });
  expect(await files.send('/api/segments/L/import', zipped, 'application/gzip')).toMatchObject({ status: 415 });
  // Sent as what it is not, it is a file that cannot be read.
  expect((await files.run('/api/segments/L/import', zipped)).state).toBe('failed');
});

it.each<[what: string, text: string, added: number]>([
  ['a header only', 'external_id\n', 0],
  ['a header only, without a line break', 'external_id', 0],
  ['a BOM and CRLF', '\ufeffexternal_id\r\nu1\r\n', 1],
  ['quotes', '"external_id"\n"u2"\n', 1],
  ['a quoted line break in an empty place', 'external_id,expires_at\r\n"u3",""\r\n', 1],
  ['trailing commas', 'external_id,,\nu4,,\nu5\n'.replace('u5', 'u5,,,'), 2],
  ['blank lines', 'external_id\n\nu6\n\n\n', 1],
  ['semicolons, and a row that ends early', 'external_id;expires_at\nu9\n', 1],
  ['duplicate rows', 'external_id\nu7\nu7\nu7\n', 1],
])('%s is fine', async (_, text, added) => {
  expect(await files.run('/api/segments/L/import', text)).toMatchObject({ state: 'done', added, errors: [] });
});

it.each([[''], ['\n']])('an NDJSON body without a line (%j) is an empty list', async (text) => {
  await client.add('ext:u8', 'L');
  const job = await files.run('/api/segments/L/import?mode=replace&confirm=empty', text, 'application/x-ndjson');
  expect(job).toMatchObject({ state: 'done', rows: 0, added: 0, unchanged: 0, errors: [] });
  expect(job.removed).toBeGreaterThan(0);
  expect(await client.get('/api/segments/L/count')).toEqual({ count: 0 });
});

it.each([
  ['text/csv; charset=utf-8', 'external_id\nm1\n'],
  ['application/csv', 'external_id;\nm2\n'],
  ['text/tab-separated-values', 'external_id\texpires_at\nm3\t\n'],
  ['application/x-ndjson', '{"external_id":"m4"}'],
  ['application/ndjson', '{"external_id":"m5"}'],
  ['application/jsonl', '{"external_id":"m6"}\n'],
])('a file of type %s is taken', async (type, text) => {
  expect(await files.run('/api/segments/L/import?unknown=create', text, type)).toMatchObject({
    state: 'done',
    added: 1,
  });
});

it('columns=ignore passes over columns that are not known', async () => {
  const text = 'email;external_id\na@b.c;u10\n';
  expect(await files.run('/api/segments/L/import', text)).toMatchObject({ state: 'failed' });
  expect(await files.run('/api/segments/L/import?columns=ignore', text)).toMatchObject({ state: 'done', added: 1 });
  expect(await files.send('/api/segments/L/import?columns=drop', text)).toMatchObject({ status: 400 });
  const users = 'external_id,,age:number\nu11,x,42\n';
  expect(await files.run('/api/users/import?columns=ignore', users)).toMatchObject({ state: 'done', updated: 1 });
  expect(await client.get('/api/users/ext:u11')).toMatchObject({ attributes: { age: 42 } });
});
