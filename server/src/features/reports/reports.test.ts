import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Service, startService } from '../../../test/service.ts';
import { endNow } from '../../../test/time.ts';
import { createReportLinks } from './links.ts';

let service: Service;
let editor: string;
const HEADER = 'user_id,external_id,segment,operation,at,source,actor';

beforeAll(async () => {
  service = await startService({ mode: 'production' });
  editor = (await service.account('editor', 'editor')).token;
});
afterAll(() => service.stop());

const call = (method: string, path: string, body?: unknown) => service.call(method, path, { token: editor, body });

async function linkOf(body: object): Promise<string> {
  const { status, body: made } = await call('POST', '/api/reports', body);
  expect(status).toBe(201);
  expect(Date.parse(made.expires_at)).toBeGreaterThan(Date.now());
  return new URL(made.url).pathname;
}

/** Without any header, as a browser would follow the link. */
async function linesOf(body: object): Promise<string[]> {
  const { status, headers, text } = await service.call('GET', await linkOf(body));
  expect([status, headers['content-type']]).toEqual([200, 'text/csv; charset=utf-8']);
  return text.split('\n').slice(0, -1);
}

const year = { from: '2026-01-01T00:00:00Z', to: '2027-12-31T00:00:00Z' };

describe('a report', () => {
  beforeAll(async () => {
    await call('POST', '/api/segments', { slug: 'S1' });
    await call('POST', '/api/segments', { slug: 'S2' });
    await call('POST', '/api/users/ext:%3D1%2B1/segments', { slug: 'S1' });
    await call('POST', '/api/users/ext:b/segments', { slug: 'S1', ttl: 1000 });
    await call('PUT', '/api/users/ext:b/segments/S2', { mode: 'exclude' });
    await call('DELETE', '/api/users/ext:b/segments/S1');
  });

  it('lists every change, oldest first, with cells defused', async () => {
    const [header, ...rows] = await linesOf(year);
    expect(header).toBe(HEADER);
    expect(rows.map((row) => row.split(',').filter((_, i) => i !== 0 && i !== 4))).toEqual([
      ["'=1+1", 'S1', 'add', 'include', 'user:2'],
      ['b', 'S1', 'add', 'include', 'user:2'],
      ['b', 'S2', 'add', 'exclude', 'user:2'],
      ['b', 'S1', 'remove', 'include', 'user:2'],
    ]);
    const times = rows.map((row) => row.split(',')[4] ?? '');
    expect(times).toEqual([...times].sort());
    expect(times[0]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it('narrows to a user and a segment', async () => {
    expect(await linesOf({ ...year, user: 'ext:b' })).toHaveLength(4);
    expect(await linesOf({ ...year, segment: 'S2' })).toHaveLength(2);
    expect(await linesOf({ ...year, user: 'ext:b', segment: 'S1' })).toHaveLength(3);
  });

  it('covers a month in UTC, its first moment included, its last not', async () => {
    const [{ id } = { id: 0 }] = await service.db.query<{ id: number }>(sql`SELECT id FROM segments WHERE slug = 'S2'`);
    await service.db.write(sql`
      INSERT INTO history (user_id, segment_id, op, mode, at, actor)
      SELECT 99, ${id}, op, 'include', at::timestamptz, 'system' FROM (VALUES
        ('add', '2020-01-31T23:59:59.999Z'), ('remove', '2020-02-01T00:00:00.000Z'),
        ('add', '2020-02-29T23:59:59.999Z'), ('remove', '2020-03-01T00:00:00.000Z')) AS v(op, at)`);
    expect(await linesOf({ month: '2020-02' })).toEqual([
      HEADER,
      '99,,S2,remove,2020-02-01T00:00:00.000Z,include,system',
      '99,,S2,add,2020-02-29T23:59:59.999Z,include,system',
    ]);
  });

  it('has only the header where nothing happened', async () => {
    expect(await linesOf({ month: '1999-12' })).toEqual([HEADER]);
  });

  it('shows what has expired before the expiry is written', async () => {
    await call('POST', '/api/users/ext:c/segments', { slug: 'S2', ttl: 60 });
    const { body } = await call('GET', '/api/users/ext:c');
    const ended = await endNow(service.db, body.id);
    const rows = await linesOf({ ...year, user: 'ext:c' });
    expect(rows.at(-1)).toMatch(new RegExp(`,c,S2,expire,${ended.toISOString()},include,system$`));
  });

  it('keeps of an erased user the bare id', async () => {
    await call('POST', '/api/users/ext:erased-person/segments', { slug: 'S2' });
    const { body } = await call('GET', '/api/users/ext:erased-person');
    await call('DELETE', '/api/users/ext:erased-person');
    const rows = (await linesOf(year)).filter((row) => row.startsWith(`${body.id},`));
    expect(rows.map((row) => row.split(',').slice(1, 4))).toEqual([
      ['', 'S2', 'add'],
      ['', 'S2', 'remove'],
    ]);
  });

  it('still knows a deleted segment by its slug', async () => {
    await call('POST', '/api/segments', { slug: 'GONE' });
    await call('POST', '/api/users/ext:b/segments', { slug: 'GONE' });
    await call('DELETE', '/api/segments/GONE');
    expect(await linesOf({ ...year, segment: 'GONE' })).toHaveLength(3);
  });
});

describe('the request for a report', () => {
  it.each([
    [{}, '/body'],
    [{ month: '2026-13' }, '/body/month'],
    [{ month: '2026-11', from: year.from }, '/body/month'],
    [{ from: year.from }, '/body'],
    [{ from: year.to, to: year.from }, '/body/from'],
    [{ month: '2026-11', user: 'nobody' }, '/body/user'],
    [{ month: '2026-11', extra: 1 }, '/body/extra'],
  ])('%j is refused at %s', async (body, path) => {
    const { status, body: problem } = await call('POST', '/api/reports', body);
    expect([status, problem.errors[0].path]).toEqual([400, path]);
  });

  it('names what is unknown', async () => {
    expect((await call('POST', '/api/reports', { month: '2026-11', user: 'ext:nobody' })).body.code).toBe(
      'user_unknown',
    );
    expect((await call('POST', '/api/reports', { month: '2026-11', segment: 'NONE' })).body.code).toBe(
      'segment_unknown',
    );
  });
});

describe('the link', () => {
  it('is refused when it was altered', async () => {
    const link = await linkOf({ month: '2026-11' });
    for (const bad of [
      `${link}A`,
      link.slice(0, -1),
      link.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
      '/api/reports/x',
    ]) {
      expect((await service.call('GET', bad)).body.code).toBe('report_unknown');
    }
  });

  it('works until its time is up, and holds no name', () => {
    const links = createReportLinks('a secret');
    const scope = { from: new Date(0), to: new Date(1), userId: 7, segment: undefined, keyId: undefined };
    const link = links.sign(scope, new Date(1_000));
    expect(links.open(link, new Date(999))).toEqual(scope);
    expect(links.open(link, new Date(1_000))).toBeUndefined();
    expect(createReportLinks('another').open(link, new Date(0))).toBeUndefined();
  });
});
