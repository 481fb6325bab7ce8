import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Files, filesOf } from '../../../test/files.ts';
import { expectFold } from '../../../test/fold.ts';
import { type Service, startService } from '../../../test/service.ts';
import { formatFor } from './exports.routes.ts';

let service: Service;
let client: Client;
let files: Files;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  files = filesOf(service);
});
afterAll(async () => {
  await expectFold(service.db);
  await service.stop();
});

const SOON = '2099-01-01T00:00:00.123Z';
const NDJSON = 'application/x-ndjson';
/** Ids that make files hard to write. */
const IDS = ['plain', 'com,ma', 'semi;colon', 'quo"te', '=1+1', '+a', '-b', '@c', ' space ', 'ünï', '\\N', 'NULL', "'"];

function download(slug: string, accept?: string) {
  return client.call('GET', `/api/segments/${slug}/export`, undefined, accept === undefined ? {} : { accept });
}

describe('an export', () => {
  it('is a CSV of everyone in a list, ordered by id, and cells stay as they are', async () => {
    await client.segment('LIST');
    const id = await client.user({});
    await client.add(id, 'LIST', { expires_at: SOON });
    for (const external_id of IDS) {
      await client.user({ external_id });
      await client.add(`ext:${encodeURIComponent(external_id)}`, 'LIST');
    }
    await client.put('ext:plain', 'LIST', { mode: 'exclude' });
    const { status, headers, text } = await download('LIST');
    expect([status, headers['content-type']]).toEqual([200, 'text/csv; charset=utf-8']);
    expect(headers['content-disposition']).toBe('attachment; filename="LIST.csv"');
    const lines = text.split('\n');
    expect(lines.slice(0, 3)).toEqual(['user_id,external_id,expires_at', `${id},,${SOON}`, `${id + 2},"com,ma",`]);
    expect(lines).toContain(`${id + 3},"semi;colon",`);
    expect(lines).toContain(`${id + 5},=1+1,`);
    expect(lines).toContain(`${id + 9}," space ",`);
    expect(lines).toHaveLength(IDS.length + 2);
  });

  it.each([['text/csv'], [NDJSON]])('as %s can be imported again, and is the same then', async (type) => {
    const slug = `COPY-${type.length}`;
    await client.segment(slug);
    const { text } = await download('LIST', type);
    expect(await files.run(`/api/segments/${slug}/import`, text, type)).toMatchObject({
      state: 'done',
      added: IDS.length,
    });
    expect((await download(slug, type)).text).toBe(text);
    const users = (await client.all('/api/segments/LIST/users', 'users')).map(({ since, ...user }) => user);
    const copied = (await client.all(`/api/segments/${slug}/users`, 'users')).map(({ since, ...user }) => user);
    expect(copied).toEqual(users);
    expect(await files.run(`/api/segments/${slug}/import?mode=replace`, text, type)).toMatchObject({
      added: 0,
      updated: 0,
      removed: 0,
      unchanged: IDS.length,
    });
  });

  it('is of any kind of segment, also of one that SQL cannot decide, over more than one batch', async () => {
    const lines = Array.from({ length: 7_000 }, (_, i) =>
      JSON.stringify({ external_id: `d${i}`, attributes: { n: i, s: `x${i}` } }),
    );
    await files.run('/api/users/import', `${lines.join('\n')}\n`, NDJSON);
    await client.segment('HALF', { percentage: 50 });
    await client.segment('BIG', { condition: { n: { $gte: 1_000 } } });
    await client.segment('PATTERN', { condition: { s: { $regex: '^x[0-9]*5$' } } });
    await client.add('ext:plain', 'BIG', { expires_at: SOON });
    await client.put('ext:d6999', 'BIG', { mode: 'exclude' });
    for (const slug of ['HALF', 'BIG', 'PATTERN']) {
      const { text } = await download(slug, NDJSON);
      const exported = text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      const users = await client.all(`/api/segments/${slug}/users`, 'users', 1_000);
      expect(exported).toEqual(
        users.map(({ id, external_id, expires_at }) => ({ user_id: id, external_id, expires_at })),
      );
      expect(await client.get(`/api/segments/${slug}/count`)).toEqual({ count: exported.length });
    }
  });

  it('of no members is a header, or nothing', async () => {
    await client.segment('EMPTY');
    expect((await download('EMPTY')).text).toBe('user_id,external_id,expires_at\n');
    expect((await download('EMPTY', NDJSON)).text).toBe('');
  });

  it('is refused as everything else is', async () => {
    expect(await download('NONE')).toMatchObject({ status: 404, body: { code: 'segment_unknown' } });
    const viewer = await service.account('exportviewer', 'viewer');
    const member = await service.account('exportmember');
    const path = '/api/segments/EMPTY/export';
    expect((await service.call('GET', path, { token: viewer.token })).status).toBe(200);
    expect((await service.call('GET', path, { token: member.token })).status).toBe(403);
    expect((await service.call('GET', path)).status).toBe(401);
  });
});

it.each([
  [undefined, 'csv'],
  ['*/*', 'csv'],
  ['application/json', 'csv'],
  [NDJSON, 'ndjson'],
  ['application/*', 'ndjson'],
  [`text/csv, ${NDJSON}`, 'csv'],
  [`text/csv;q=0.5, ${NDJSON}`, 'ndjson'],
  [`${NDJSON};q=0, */*`, 'csv'],
])('Accept: %s is answered with %s', (accept, format) => {
  expect(formatFor(accept)).toBe(format);
});
