import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Files, filesOf } from '../../../test/files.ts';
import { expectFold } from '../../../test/fold.ts';
import { type Service, startService } from '../../../test/service.ts';
import { letPass } from '../../../test/time.ts';

let service: Service;
let client: Client;
let files: Files;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  files = filesOf(service);
});
afterAll(() => service.stop());

const NDJSON = 'application/x-ndjson';
const SOON = '2099-01-01T00:00:00.000Z';
const LATER = '2099-06-01T00:00:00.000Z';
const counts = (added: number, updated: number, removed: number, unchanged: number) => ({
  state: 'done',
  added,
  updated,
  removed,
  unchanged,
  errors: [],
});

let number = 0;
/** A new segment and three users named after it. */
async function scene(definition: object = {}): Promise<{ slug: string; path: string; users: string[]; ids: number[] }> {
  const slug = `S${++number}`;
  await client.segment(slug, definition);
  const users = ['a', 'b', 'c'].map((name) => `${name}${number}`);
  const ids = [];
  for (const external_id of users) ids.push(await client.user({ external_id, attributes: { n: number } }));
  return { slug, path: `/api/segments/${slug}/import`, users, ids };
}

async function members(slug: string): Promise<string[]> {
  const users = await client.all(`/api/segments/${slug}/users`, 'users');
  return users.map(({ external_id }) => external_id);
}

async function left(job: string): Promise<object[]> {
  return service.db.query(
    sql`SELECT relname FROM pg_class WHERE relnamespace = 'import_staging'::regnamespace AND relname LIKE ${`%\\_${job}`}`,
  );
}

describe('mode add', () => {
  it('puts users in by either id, once each, with the job and the actor in their history', async () => {
    const { slug, path, users, ids } = await scene();
    const [a, b, c] = users;
    const job = await files.run(path, `user_id,external_id\n${ids[0]},\n,${b}\n,${a}\n${ids[2]},${c}\n`);
    expect(job).toMatchObject({ kind: 'segment_import', rows: 4, processed: 4, ...counts(3, 0, 0, 0) });
    expect(await members(slug)).toEqual(users);
    const [event] = await client.all(`/api/users/ext:${a}/history`, 'events');
    const { id } = (await client.call('GET', '/auth/me')).body;
    expect(event).toMatchObject({
      slug,
      action: 'add',
      source: `import:${job.id}`,
      actor: `user:${id}`,
      expires_at: null,
    });
    expect(await left(job.id)).toEqual([]);
  });

  it('changes what differs and nothing else', async () => {
    const { slug, path, users } = await scene();
    const [a, b, c] = users;
    await client.add(`ext:${a}`, slug);
    await client.add(`ext:${b}`, slug, { expires_at: SOON });
    await client.put(`ext:${c}`, slug, { mode: 'exclude' });
    const job = await files.run(path, `external_id\n${users.join('\n')}\n`);
    expect(job).toMatchObject(counts(0, 2, 0, 1));
    expect(await client.story(`ext:${a}`)).toEqual(['add include']);
    expect(await client.story(`ext:${b}`)).toEqual(['add include', `update import:${job.id}`]);
    expect(await client.story(`ext:${c}`)).toEqual(['add exclude', `update import:${job.id}`]);
    expect(await files.run(path, `external_id\n${users.join('\n')}\n`)).toMatchObject(counts(0, 0, 0, 3));
  });

  it('takes an expiry for each row, one for the others, and the last row about a user', async () => {
    const { slug, path, users } = await scene();
    const [a, b, c] = users;
    const file = `external_id,expires_at\n${a},${SOON}\n${b},\n${c},${SOON}\n${c},2099-06-01T02:00:00+02:00\n`;
    expect(await files.run(`${path}?expires_at=${LATER}`, file)).toMatchObject({ rows: 4, ...counts(3, 0, 0, 0) });
    const found = await client.all(`/api/segments/${slug}/users`, 'users');
    expect(found.map(({ expires_at }) => expires_at)).toEqual([SOON, LATER, LATER]);
  });

  it('takes what has expired and is not swept for what it is: over', async () => {
    const { slug, path, users, ids } = await scene();
    await client.add(`ext:${users[0]}`, slug, { ttl: 100 });
    await letPass(service.db, ids[0] ?? 0, 200);
    const job = await files.run(path, `external_id\n${users[0]}\n`);
    expect(job).toMatchObject(counts(1, 0, 0, 0));
    expect(await client.story(`ext:${users[0]}`)).toEqual(['add include', 'expire include', `add import:${job.id}`]);
  });

  it('takes NDJSON', async () => {
    const { slug, path, users, ids } = await scene();
    const lines = [
      { user_id: ids[0] },
      { external_id: users[1], expires_at: SOON },
      { user_id: null, external_id: users[2], expires_at: null },
    ];
    const text = `${lines.map((line) => JSON.stringify(line)).join('\r\n')}\n\n`;
    expect(await files.run(path, text, `${NDJSON}; charset=utf-8`)).toMatchObject({ rows: 3, ...counts(3, 0, 0, 0) });
    expect(await members(slug)).toEqual(users);
  });
});

describe('unknown users', () => {
  it('are refused by default, with their lines, and no one is added', async () => {
    const { slug, path, users } = await scene();
    const job = await files.run(path, `user_id,external_id\n,${users[0]}\n,who\n987654321,\n`);
    expect(job).toMatchObject({
      state: 'failed',
      rows: 3,
      added: 0,
      errors: [
        { line: 3, message: 'there is no user with this external_id' },
        { line: 4, message: 'there is no user 987654321' },
      ],
    });
    expect(await members(slug)).toEqual([]);
    expect(await left(job.id)).toEqual([]);
  });

  it('are skipped', async () => {
    const { slug, path, users } = await scene();
    const text = `user_id,external_id\n,${users[0]}\n,who\n987654321,\n`;
    expect(await files.run(`${path}?unknown=skip`, text)).toMatchObject({
      rows: 3,
      ...counts(1, 0, 0, 0),
      skipped: 2,
      errors: [
        { line: 3, message: 'there is no user with this external_id', level: 'warning' },
        { line: 4, message: 'there is no user 987654321', level: 'warning' },
      ],
    });
    expect(await members(slug)).toEqual([users[0]]);
    const dry = await files.run(`${path}?unknown=skip&dry_run=true`, text);
    expect(dry).toMatchObject({ ...counts(0, 0, 0, 1), skipped: 2, errors: [{ line: 3 }, { line: 4 }] });
  });

  it('of whom there are many are all counted, and a hundred told', async () => {
    const { path, users } = await scene();
    const text = `external_id
${Array.from({ length: 150 }, (_, i) => `who${i}`).join('\n')}
${users[0]}
#N/A
`;
    const job = await files.run(`${path}?unknown=skip`, text);
    expect(job).toMatchObject({ state: 'done', added: 1, skipped: 151 });
    expect(job.errors.map(({ line }: { line: number }) => line)).toEqual(Array.from({ length: 100 }, (_, i) => i + 2));
  });

  it('are told of together with ids that look like accidents', async () => {
    const { slug, path, users } = await scene();
    const text = `external_id
who
${users[0]}
NULL
`;
    expect(await files.run(`${path}?unknown=create`, text)).toMatchObject({
      state: 'done',
      added: 3,
      errors: [{ line: 4, message: expect.stringContaining('looks like an accident'), level: 'warning' }],
    });
    const skipped = await files.run(
      `${path}?unknown=skip&mode=remove`,
      `external_id
null-${slug}
NULL
who
`,
    );
    expect(skipped).toMatchObject({ removed: 2, skipped: 1, errors: [{ line: 2 }, { line: 3 }] });
  });

  it('are created under their external ids, once each; by our ids they are refused', async () => {
    const { slug, path, users } = await scene();
    const text = `external_id\nnew-${slug}\n${users[0]}\nnew-${slug}\nalso-${slug}\n`;
    expect(await files.run(`${path}?unknown=create`, text)).toMatchObject({ rows: 4, ...counts(3, 0, 0, 0) });
    expect((await members(slug)).sort()).toEqual([users[0], `also-${slug}`, `new-${slug}`].sort());
    const refused = await files.run(`${path}?unknown=create`, `user_id,external_id\n987654321,\n,third-${slug}\n`);
    expect(refused).toMatchObject({ state: 'failed', errors: [{ line: 2 }] });
    expect((await client.call('GET', `/api/users/ext:third-${slug}`)).status).toBe(404);
  });

  it.each([
    ['first', '987654321,\n,987654321\n', 2],
    ['last', ',987654321\n987654321,\n', 3],
  ])('are two when one of our ids reads like an external id, ours coming %s', async (_, text, line) => {
    const { slug, path } = await scene();
    expect(await files.run(`${path}?unknown=create`, `user_id,external_id\n${text}`)).toMatchObject({
      state: 'failed',
      errors: [{ line, message: 'there is no user 987654321' }],
    });
    expect(await members(slug)).toEqual([]);
    expect(await files.run(path, `user_id,external_id\n${text}`)).toMatchObject({
      errors: [{ line: 2 }, { line: 3 }],
    });
  });
});

describe('mode remove', () => {
  it('takes members out of a list, and leaves the others', async () => {
    const { slug, path, users } = await scene();
    for (const user of users) await client.add(`ext:${user}`, slug);
    await client.put(`ext:${users[1]}`, slug, { mode: 'exclude' });
    const text = `external_id,expires_at\n${users[0]},${SOON}\n${users[1]},\nnobody,\n`;
    const job = await files.run(`${path}?mode=remove&unknown=create`, text);
    expect(job).toMatchObject({
      ...counts(0, 0, 1, 1),
      skipped: 1,
      errors: [{ line: 4, message: 'there is no user with this external_id', level: 'warning' }],
    });
    expect(await members(slug)).toEqual([users[2]]);
    expect(await client.story(`ext:${users[0]}`)).toEqual(['add include', `remove import:${job.id}`]);
    expect((await client.call('GET', '/api/users/ext:nobody')).status).toBe(404);
  });

  it('excludes whom percentage or condition let in, other segments considered', async () => {
    const { slug: other, users, ids } = await scene();
    await client.add(`ext:${users[0]}`, other);
    await client.segment(`D${other}`, { condition: { $inSegment: other } });
    const path = `/api/segments/D${other}/import`;
    await client.add(`ext:${users[1]}`, `D${other}`);
    await client.put(`ext:${users[2]}`, `D${other}`, { mode: 'exclude', expires_at: SOON });
    const job = await files.run(`${path}?mode=remove`, `user_id\n${ids.join('\n')}\n`);
    expect(job).toMatchObject(counts(0, 0, 2, 1));
    expect(await members(`D${other}`)).toEqual([]);
    expect(await client.why(`ext:${users[0]}`, `D${other}`)).toMatchObject({ member: false, source: 'exclude' });
    expect(await client.why(`ext:${users[1]}`, `D${other}`)).toMatchObject({ member: false, source: 'none' });
    expect(await files.run(`${path}?mode=remove`, `user_id\n${ids.join('\n')}\n`)).toMatchObject(counts(0, 0, 0, 3));
  });

  it('ignores the times of the file, also where a user is removed by an exclude', async () => {
    const { slug, path, users } = await scene({ percentage: 100 });
    const [a, b, c] = users;
    await client.add(`ext:${b}`, slug, { expires_at: SOON });
    const job = await files.run(
      `${path}?mode=remove`,
      `external_id,expires_at\n${a},${SOON}\n${b},${LATER}\n${c},2020-01-01T00:00:00Z\n`,
    );
    expect(job).toMatchObject(counts(0, 0, 3, 0));
    for (const user of users) {
      const why = await client.why(`ext:${user}`, slug);
      expect(why).toMatchObject({ member: false, source: 'exclude', expires_at: null });
    }
  });
});

describe('mode replace', () => {
  it('makes the file the list', async () => {
    const { slug, path, users } = await scene();
    await client.add(`ext:${users[0]}`, slug);
    await client.add(`ext:${users[1]}`, slug);
    const job = await files.run(`${path}?mode=replace`, `external_id\n${users[1]}\n${users[2]}\n`);
    expect(job).toMatchObject(counts(1, 0, 1, 1));
    expect(await members(slug)).toEqual([users[1], users[2]]);
    expect(await client.story(`ext:${users[0]}`)).toEqual(['add include', `remove import:${job.id}`]);
    expect(await client.story(`ext:${users[1]}`)).toEqual(['add include']);
    expect(await files.run(`${path}?mode=replace&confirm=empty`, 'external_id\n')).toMatchObject({
      rows: 0,
      ...counts(0, 0, 2, 0),
    });
    expect(await members(slug)).toEqual([]);
  });

  it('excludes whom the rule of a dynamic segment would let in', async () => {
    const { slug, path, users, ids } = await scene({ condition: { n: 0 } });
    await client.call('PATCH', `/api/segments/${slug}`, { condition: { n: number } });
    await client.add(`ext:${users[0]}`, slug);
    const job = await files.run(`${path}?mode=replace`, `user_id\n${ids[1]}\n`);
    expect(job).toMatchObject(counts(1, 0, 2, 0));
    expect(await members(slug)).toEqual([users[1]]);
    expect(await client.story(`ext:${users[2]}`)).toEqual([`add import:${job.id}`]);
    // The others are not in the file, and were out already.
    expect(await files.run(`${path}?mode=replace`, `user_id\n${ids[1]}\n`)).toMatchObject(counts(0, 0, 0, 1));
  });

  it('is one switch for every reader', async ({ skip }) => {
    skip(service.db.isDistributed, 'workers of Citus commit one after the other, and a count asks all of them');
    const { slug, path } = await scene();
    await files.run(
      '/api/users/import',
      `external_id\n${Array.from({ length: 3_000 }, (_, i) => `sw${i}`).join('\n')}\n`,
    );
    const half = (from: number) =>
      `external_id\n${Array.from({ length: 1_500 }, (_, i) => `sw${from + i}`).join('\n')}\n`;
    await files.run(path, half(0));
    const seen = new Set<number>();
    let isOver = false;
    const watching = (async () => {
      while (!isOver) seen.add((await client.get(`/api/segments/${slug}/count`)).count);
    })();
    for (const from of [1_000, 1_500, 0]) await files.run(`${path}?mode=replace`, half(from));
    isOver = true;
    await watching;
    expect([...seen]).toEqual([1_500]);
  });
});

describe('a replacement that names no user', () => {
  it('fails when every row was skipped', async () => {
    const { slug, path, users } = await scene();
    await client.add(`ext:${users[0]}`, slug);
    const job = await files.run(
      `${path}?mode=replace&unknown=skip&confirm=empty`,
      'external_id\nabsent\nmissing\nabsent\n',
    );
    expect(job).toMatchObject({
      state: 'failed',
      rows: 3,
      errors: [
        { line: null, message: expect.stringContaining('every row was skipped') },
        { line: 2, level: 'warning' },
        { line: 3, level: 'warning' },
        { line: 4, level: 'warning' },
      ],
    });
    expect(await members(slug)).toEqual([users[0]]);
    const text = `external_id\nabsent\n${users[1]}\n`;
    expect(await files.run(`${path}?mode=replace&unknown=skip`, text)).toMatchObject({
      added: 1,
      removed: 1,
      skipped: 1,
    });
  });

  it.each([
    ['text/csv', 'external_id\n'],
    ['text/csv', 'external_id;expires_at\n;\n;\n'],
    [NDJSON, ''],
    [NDJSON, '\n'],
  ])('as %s, %j, fails unless that is confirmed', async (type, text) => {
    const { slug, path, users } = await scene();
    await client.add(`ext:${users[0]}`, slug);
    for (const query of ['?mode=replace', '?mode=replace&dry_run=true']) {
      expect(await files.run(`${path}${query}`, text, type)).toMatchObject({
        state: 'failed',
        rows: 0,
        errors: [{ line: null, message: expect.stringContaining('confirm=empty') }],
      });
    }
    expect(await members(slug)).toEqual([users[0]]);
    for (const mode of ['add', 'remove']) {
      expect(await files.run(`${path}?mode=${mode}`, text, type)).toMatchObject({ state: 'done', rows: 0 });
    }
    expect(await files.run(`${path}?mode=replace&confirm=empty`, text, type)).toMatchObject(counts(0, 0, 1, 0));
    expect(await members(slug)).toEqual([]);
  });
});

describe('an exported file', () => {
  it.each([
    ['text/csv', 'add'],
    ['text/csv', 'replace'],
    [NDJSON, 'add'],
    [NDJSON, 'replace'],
  ])('as %s can be imported again with mode %s when some of its times have passed', async (type, mode) => {
    const { slug, path, users } = await scene();
    for (const user of users.slice(0, 2)) await client.add(`ext:${user}`, slug, { expires_at: SOON });
    await client.add(`ext:${users[2]}`, slug);
    const { text } = await service.call('GET', `/api/segments/${slug}/export`, {
      token: service.admin,
      headers: { accept: type },
    });
    const old = text.replace(SOON, '2001-01-01T00:00:00.000Z');
    for (const file of [old, `\ufeff${old.replaceAll('\n', '\r\n')}`]) {
      const again = await scene();
      const imported = await files.run(`${again.path}?mode=${mode}`, file, type);
      expect(imported).toMatchObject({ ...counts(2, 0, 0, 0), lapsed: 1, rows: 3 });
      expect(await members(again.slug)).toEqual([users[1], users[2]]);
    }
    const back = await files.run(`${path}?mode=${mode}`, old, type);
    expect(back).toMatchObject({ ...counts(0, 0, 1, 2), lapsed: 1 });
  });

  it('can be imported with semicolons, as a spreadsheet saves it', async () => {
    const { slug, users } = await scene();
    for (const user of users) await client.add(`ext:${user}`, slug, { expires_at: SOON });
    const { text } = await service.call('GET', `/api/segments/${slug}/export`, { token: service.admin });
    const again = await scene();
    const saved = `\ufeffsep=;\r\n${text.replaceAll(',', ';').replaceAll('\n', ';;\r\n')}`;
    expect(await files.run(again.path, saved)).toMatchObject(counts(3, 0, 0, 0));
  });
});

describe('rows whose time has passed', () => {
  it.each([
    ['add', 'list'],
    ['replace', 'list'],
    ['replace', 'dynamic segment'],
  ])('end an override with mode %s of a %s, as if they had been applied before', async (mode, kind) => {
    const { slug, path, users } = await scene();
    const isDynamic = kind !== 'list';
    if (isDynamic) await client.call('PATCH', `/api/segments/${slug}`, { condition: { n: number } });
    const [a, b, c] = users;
    await client.add(`ext:${a}`, slug);
    await client.put(`ext:${c}`, slug, { mode: 'exclude' });
    const text = `external_id,expires_at\n${users.map((user) => `${user},2001-01-01T00:00:00Z`).join('\n')}\n`;
    const dry = await files.run(`${path}?mode=${mode}&dry_run=true`, text);
    const real = await files.run(`${path}?mode=${mode}`, text);
    // Whatever override there was has ended: only a rule lets them in.
    for (const job of [dry, real]) expect(job).toMatchObject({ ...counts(0, 1, 1, 0), lapsed: 3 });
    expect(await members(slug)).toEqual(isDynamic ? users : []);
    expect(await client.story(`ext:${a}`)).toEqual(['add include', `remove import:${real.id}`]);
    expect(await client.story(`ext:${b}`)).toEqual([]);
    expect(await client.story(`ext:${c}`)).toEqual(['add exclude', `remove import:${real.id}`]);
  });
});

describe('a dry run', () => {
  it.each(['add', 'remove', 'replace'])(
    'of mode %s reports what the real one then does, and does nothing',
    async (mode) => {
      const { slug, path, users } = await scene();
      await client.add(`ext:${users[0]}`, slug);
      await client.add(`ext:${users[1]}`, slug, { expires_at: SOON });
      const text = `external_id\n${users[1]}\n${users[2]}\n${users[2]}\n`;
      const dry = await files.run(`${path}?mode=${mode}&dry_run=true`, text);
      expect(await members(slug)).toEqual([users[0], users[1]]);
      expect(await client.story(`ext:${users[2]}`)).toEqual([]);
      const { id, created_at, finished_at, dry_run, ...real } = await files.run(
        `${path}?mode=${mode}&dry_run=false`,
        text,
      );
      expect(dry).toMatchObject(real);
    },
  );

  it.each([
    ['add', counts(1, 2, 0, 1)],
    ['remove', counts(0, 0, 3, 1)],
    ['replace', counts(1, 2, 3, 1)],
  ])('of mode %s counts those who go out of a dynamic segment as the real one does', async (mode, expected) => {
    const { slug, path, users } = await scene();
    await client.call('PATCH', `/api/segments/${slug}`, { condition: { n: number } });
    // In the file: let in by the rule, by name as well, kept out, and in by name alone. Not in it: the same once more.
    const [left, named, out] = users;
    const [stays, otherLeft, otherNamed, otherOut, otherStays] = ['d', 'e', 'f', 'g', 'h'].map(
      (name) => `${name}${number}`,
    );
    for (const user of [otherLeft, otherNamed, otherOut]) {
      await client.user({ external_id: user, attributes: { n: number } });
    }
    for (const user of [stays, otherStays]) await client.user({ external_id: user });
    for (const user of [named, otherNamed]) await client.add(`ext:${user}`, slug, { expires_at: SOON });
    for (const user of [out, otherOut]) await client.put(`ext:${user}`, slug, { mode: 'exclude' });
    for (const user of [stays, otherStays]) await client.add(`ext:${user}`, slug);
    const text = `external_id\n${left}\n${named}\n${out}\n${stays}\n${stays}\n`;
    const dry = await files.run(`${path}?mode=${mode}&dry_run=true`, text);
    const { id, created_at, finished_at, dry_run, ...real } = await files.run(`${path}?mode=${mode}`, text);
    expect(real).toMatchObject(expected);
    expect(dry).toMatchObject(real);
  });

  it('creates no user', async () => {
    const { path } = await scene();
    expect(await files.run(`${path}?unknown=create&dry_run=true`, 'external_id\nghost\n')).toMatchObject(
      counts(1, 0, 0, 0),
    );
    expect((await client.call('GET', '/api/users/ext:ghost')).status).toBe(404);
  });
});

describe('the request', () => {
  it.each<[query: string, status: number, code: string, type?: string, headers?: Record<string, string>]>([
    ['?mode=merge', 400, 'invalid'],
    ['?unknown=maybe', 400, 'invalid'],
    ['?dry_run=1', 400, 'invalid'],
    ['?expires_at=tomorrow', 400, 'invalid'],
    ['?expires_at=2001-01-01T00:00:00Z', 400, 'invalid'],
    ['?mode=remove&expires_at=2099-01-01T00:00:00Z', 400, 'invalid'],
    ['?color=red', 400, 'invalid'],
    ['', 415, 'media_type', 'application/json'],
    ['', 415, 'media_type', 'text/csv; charset=windows-1251'],
    ['', 415, 'media_type', 'text/csv', { 'content-encoding': 'gzip' }],
  ])('%s is refused with %i %s', async (query, status, code, type = 'text/csv', headers = {}) => {
    const { path } = await scene();
    const answer = await files.send(`${path}${query}`, 'user_id\n', type, headers);
    expect(answer).toMatchObject({ status, body: { code } });
  });

  it('names the segment that does not exist, and needs an editor', async () => {
    expect(await files.send('/api/segments/NONE/import', 'user_id\n')).toMatchObject({
      status: 404,
      body: { code: 'segment_unknown' },
    });
    const viewer = await service.account(`viewer${number}`, 'viewer');
    const { slug } = await scene();
    const headers = { 'content-type': 'text/csv' };
    const path = `/api/segments/${slug}/import`;
    expect((await service.call('POST', path, { body: 'user_id\n', headers })).status).toBe(401);
    expect((await service.call('POST', path, { body: 'user_id\n', headers, token: viewer.token })).status).toBe(403);
  });
});

it('leaves the state what the history comes to', () => expectFold(service.db));
