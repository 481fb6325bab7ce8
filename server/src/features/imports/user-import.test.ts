import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Files, filesOf } from '../../../test/files.ts';
import { type Service, startService } from '../../../test/service.ts';

let service: Service;
let client: Client;
let files: Files;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  files = filesOf(service);
});
afterAll(() => service.stop());

const PATH = '/api/users/import';
const NDJSON = 'application/x-ndjson';
const lines = (...objects: object[]) => objects.map((one) => `${JSON.stringify(one)}\n`).join('');

async function versions(user: string): Promise<object[]> {
  const rows = await service.db.query<{ version: number; attributes: object }>(sql`
    SELECT v.version, v.attributes FROM attribute_versions v JOIN users u ON u.id = v.user_id
    WHERE u.external_id = ${user} ORDER BY v.version`);
  return rows.map(({ version, attributes }) => ({ version, ...attributes }));
}

describe('an import of users', () => {
  it('registers those it does not know, and changes those it does, by merge patch', async () => {
    await client.user({ external_id: 'known', name: 'Old', attributes: { a: 1, deep: { x: 1, y: 2 } } });
    const job = await files.run(
      PATH,
      lines(
        { external_id: 'fresh', name: 'New', attributes: { n: 1.5, list: ['ü', null] } },
        { external_id: 'known', attributes: { a: null, b: true, deep: { x: null, z: 3 } } },
        { external_id: 'bare' },
      ),
      NDJSON,
    );
    expect(job).toMatchObject({ kind: 'user_import', state: 'done', rows: 3, processed: 3, added: 2, updated: 1 });
    expect(await client.get('/api/users/ext:fresh')).toMatchObject({
      name: 'New',
      attributes: { n: 1.5, list: ['ü', null] },
    });
    expect(await client.get('/api/users/ext:known')).toMatchObject({
      name: 'Old',
      attributes: { b: true, deep: { y: 2, z: 3 } },
    });
    expect(await client.get('/api/users/ext:bare')).toMatchObject({ name: null, attributes: {} });
    expect(await versions('fresh')).toEqual([{ version: 1, n: 1.5, list: ['ü', null] }]);
    expect(await versions('known')).toHaveLength(2);
    expect(await versions('bare')).toEqual([]);
    const again = await files.run(
      PATH,
      lines({ external_id: 'known', attributes: { b: true } }, { external_id: 'bare' }),
      NDJSON,
    );
    expect(again).toMatchObject({ state: 'done', added: 0, updated: 0, unchanged: 2 });
    expect(await versions('known')).toHaveLength(2);
  });

  it('takes the rows about one user one after the other, and counts the user once', async () => {
    const job = await files.run(
      PATH,
      lines(
        { external_id: 'twice', name: 'One', attributes: { a: 1 } },
        { external_id: 'other' },
        { external_id: 'twice', name: null, attributes: { b: 2 } },
      ),
      NDJSON,
    );
    expect(job).toMatchObject({ rows: 3, added: 2 });
    expect(await client.get('/api/users/ext:twice')).toMatchObject({ name: null, attributes: { a: 1, b: 2 } });
    expect(await versions('twice')).toEqual([{ version: 1, a: 1, b: 2 }]);
  });

  it('takes a CSV with a column for each attribute; cells are text, empty ones say nothing', async () => {
    await client.user({ external_id: 'c1', name: 'Kept', attributes: { city: 'Kept' } });
    const job = await files.run(PATH, 'external_id,name,city,plan\r\nc1,,,pro\r\nc2,"Smith, Jo",Ulm,\r\n');
    expect(job).toMatchObject({ state: 'done', added: 1, updated: 1 });
    expect(await client.get('/api/users/ext:c1')).toMatchObject({
      name: 'Kept',
      attributes: { city: 'Kept', plan: 'pro' },
    });
    expect(await client.get('/api/users/ext:c2')).toMatchObject({ name: 'Smith, Jo', attributes: { city: 'Ulm' } });
  });

  it('folds any number of rows about one user, one after the other', async () => {
    const rows = Array.from({ length: 8_000 }, (_, i) => ({
      external_id: i % 1_000 === 999 ? `other${i}` : 'often',
      ...(i === 7_000 && { name: 'Late' }),
      attributes: { [`k${i % 50}`]: i, gone: i % 2 ? null : i },
    }));
    for (const [added, updated] of [
      [9, 0],
      [0, 0],
    ]) {
      const dry = await files.run(`${PATH}?dry_run=true`, lines(...rows), NDJSON);
      const job = await files.run(PATH, lines(...rows), NDJSON);
      for (const one of [dry, job]) expect(one).toMatchObject({ rows: 8_000, processed: 8_000, added, updated });
    }
    const { name, attributes } = await client.get('/api/users/ext:often');
    expect(name).toBe('Late');
    expect(attributes).toMatchObject({ k0: 7_950, k48: 7_998 });
    expect(Object.keys(attributes)).toHaveLength(51);
    expect(await versions('often')).toHaveLength(1);
  });

  it('takes rows whose attributes are long in stretches', async () => {
    const long = 'x'.repeat(15_000);
    const same = Array.from({ length: 300 }, (_, i) => ({ external_id: `long${i % 290}`, attributes: { k: long } }));
    expect(await files.run(PATH, lines(...same), NDJSON)).toMatchObject({ state: 'done', added: 290 });
    const both = lines(...same.slice(0, 5), { external_id: 'long1', attributes: { more: long } });
    expect(await files.run(PATH, both, NDJSON)).toMatchObject({
      state: 'failed',
      errors: [{ line: 6, message: expect.stringContaining('the attributes come to 30') }],
    });
    const wide = lines({ external_id: 'wide', attributes: { k: 'x'.repeat(33_000) } });
    expect(await files.run(PATH, wide, NDJSON)).toMatchObject({
      state: 'failed',
      errors: [{ line: 1, message: 'attributes must come to less than 32 KiB of JSON in one row' }],
    });
  });

  it('keeps text as it came', async () => {
    const text = 'tab\tquote"backslash\\newline\nreturn\r\\N \\. {}';
    const key = text.replace('.', '');
    await files.run(PATH, lines({ external_id: 'back\\slash', name: text, attributes: { [key]: text } }), NDJSON);
    expect(await client.get(`/api/users/ext:${encodeURIComponent('back\\slash')}`)).toMatchObject({
      name: text,
      attributes: { [key]: text },
    });
  });

  it.each<[what: string, line: object | string, reason: RegExp]>([
    ['no external id', { name: 'x' }, /external_id must be a string/],
    ['an unknown field', { external_id: 'x', nick: 'y' }, /"nick" is not a known field/],
    ['attributes that are a list', { external_id: 'x', attributes: [] }, /must be an object/],
    ['an empty name', { external_id: 'x', name: '' }, /name must have/],
    ['NUL in a value', { external_id: 'x', attributes: { a: '\0' } }, /must not hold NUL/],
    ['a number beyond a double', '{"external_id":"x","attributes":{"a":1e999}}', /range of a double/],
    ['a __proto__', '{"external_id":"x","attributes":{"a":{"__proto__":1}}}', /__proto__/],
    ['more than 16 KiB', { external_id: 'x', attributes: { a: 'x'.repeat(16 * 1024) } }, /at most 16384 are kept/],
  ])('fails whole for %s', async (_, line, reason) => {
    const text = typeof line === 'string' ? `${line}\n` : lines(line);
    const job = await files.run(PATH, lines({ external_id: 'before-it' }) + text, NDJSON);
    expect(job).toMatchObject({
      state: 'failed',
      added: 0,
      errors: [{ line: 2, message: expect.stringMatching(reason) }],
    });
    expect((await client.call('GET', '/api/users/ext:before-it')).status).toBe(404);
  });

  it('as a dry run only reads, and does not block changes of its users', async () => {
    const id = await client.user({ external_id: 'busy', name: 'Old' });
    const text = lines({ external_id: 'busy', name: 'New' });
    await service.db.transaction(async (tx) => {
      await tx.query(sql`SELECT FROM users u WHERE u.id = ${id} FOR UPDATE`);
      // It would wait for that lock if it took one itself.
      expect(await files.run(`${PATH}?dry_run=true`, text, NDJSON)).toMatchObject({ state: 'done', updated: 1 });
    });
  });

  it('refuses or skips unknown users where it should, and can be tried dry', async () => {
    const text = lines({ external_id: 'known', name: 'Newer' }, { external_id: 'stranger' });
    const refused = await files.run(`${PATH}?unknown=reject`, text, NDJSON);
    expect(refused).toMatchObject({ state: 'failed', errors: [{ line: 2 }] });
    expect(await files.run(`${PATH}?unknown=skip&dry_run=true`, text, NDJSON)).toMatchObject({
      state: 'done',
      added: 0,
      updated: 1,
    });
    expect(await client.get('/api/users/ext:known')).toMatchObject({ name: 'Old' });
    expect(await files.run(`${PATH}?unknown=skip`, text, NDJSON)).toMatchObject({
      skipped: 1,
      errors: [{ message: 'there is no user with this external_id', level: 'warning' }],
      state: 'done',
      added: 0,
      updated: 1,
    });
    expect(await client.get('/api/users/ext:known')).toMatchObject({ name: 'Newer' });
    expect((await client.call('GET', '/api/users/ext:stranger')).status).toBe(404);
  });

  it('takes nothing that belongs to a segment', async () => {
    expect((await files.send(`${PATH}?mode=add`, 'external_id\n')).status).toBe(400);
  });
});
