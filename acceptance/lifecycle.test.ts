import { chmod, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { createDatabase } from '@kohort/testkit/database.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import { call } from '@kohort/testkit/http.ts';
import { isAlive } from '@kohort/testkit/processes.ts';
import {
  type DataFolder,
  dataFolder,
  familyOf,
  launch,
  postmasterOf,
  type Running,
  runToEnd,
} from '@kohort/testkit/service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let data: DataFolder;
let service: Running;
beforeAll(async () => {
  data = await dataFolder();
  service = await launch({ DATA_DIR: data.folder });
});
afterAll(async () => {
  await service.kill('SIGTERM');
  await data.remove();
});

/** One sentence or two for a person: no stack, nothing else. */
function expectSentence(stderr: string, words: RegExp): void {
  expect(stderr).toMatch(words);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(stderr).not.toMatch(/\bat .*:\d+:\d+|Error:/);
}

describe('a start that cannot be', () => {
  it('because the port is taken says so in one sentence and exits 1', async () => {
    const squatter: Server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => squatter.once('listening', resolve));
    const { port } = squatter.address() as { port: number };
    const other = await dataFolder();
    const { code, stderr, stdout } = await runToEnd({ PORT: String(port), DATA_DIR: other.folder });
    expect([code, stdout]).toEqual([1, '']);
    expectSentence(stderr, new RegExp(`Port ${port} .*taken`));
    squatter.close();
    await other.remove();
  });

  it('because another service uses the data folder says so, exits 1 and does no harm', async () => {
    const { code, stderr } = await runToEnd({ PORT: '0', DATA_DIR: data.folder });
    expect(code).toBe(1);
    expectSentence(stderr, /Another Kohort is using the data folder/);
    expect((await call(service.url, 'GET', '/readyz')).status).toBe(200);
    expect((await call(service.url, 'POST', '/api/segments', { body: '{"slug":"Unharmed"}' })).status).toBe(200);
  });

  const DATABASE_URL = 'postgres://kohort:x@127.0.0.1:1/kohort';
  const JWT_SECRET = 'Zk3v0m8b1s5Qx7wT2rYp9nLd4hGc6jUf';
  it.each<[string, Record<string, string>, RegExp]>([
    ['production without a secret', { DATABASE_URL }, /JWT_SECRET/],
    [
      'production with the secret of the seed',
      { DATABASE_URL, JWT_SECRET: 'jbfj5jbh6hgj5' },
      /JWT_SECRET .*well-known/,
    ],
    ['production without a database', { MODE: 'production', JWT_SECRET }, /DATABASE_URL/],
    ['a host that is none', { HOST: 'no.such.host.invalid' }, /HOST/],
  ])('because of %s says so and exits 1', async (_, env, words) => {
    const { code, stderr, stdout } = await runToEnd({ PORT: '0', DATA_DIR: join(data.folder, 'never'), ...env });
    expect([code, stdout]).toEqual([1, '']);
    expectSentence(stderr, words);
  });

  it('because the data folder is no folder says so and exits 1', async () => {
    const file = join(data.folder, 'a-file');
    await writeFile(file, '');
    const { code, stderr } = await runToEnd({ PORT: '0', DATA_DIR: file });
    expect(code).toBe(1);
    expectSentence(stderr, /DATA_DIR/);
  });

  it('because the database refuses the password, or the admin’s is a common one, says so and exits 1', async () => {
    const database = await createDatabase({ migrated: false });
    const env = { JWT_SECRET, PORT: '0', HOST: '127.0.0.1' };
    const wrong = new URL(database.url);
    wrong.password = 'wrong';
    const refused = await runToEnd({ ...env, DATABASE_URL: wrong.href });
    expect(refused.code).toBe(1);
    expectSentence(refused.stderr, /DATABASE_URL/);
    const bad = await runToEnd({ ...env, DATABASE_URL: database.url, ADMIN_PASSWORD: 'password' });
    expect(bad.code).toBe(1);
    expectSentence(bad.stderr, /ADMIN_PASSWORD/);
    await database.drop();
  });
});

describe('kill -9', () => {
  it('of the service and of its PostgreSQL loses nothing that was acknowledged', async () => {
    const acknowledged: string[] = [];
    let going = true;
    const writer = (async () => {
      for (let i = 0; going; i++) {
        const slug = `K${i}`;
        const made = await call(service.url, 'POST', '/api/segments', { body: JSON.stringify({ slug }) }).catch(
          () => undefined,
        );
        const added = await call(service.url, 'POST', '/api/users/1/segments', {
          body: JSON.stringify({ slug }),
        }).catch(() => undefined);
        if (made?.status === 200 && added?.status === 200) acknowledged.push(slug);
      }
    })();
    await eventually(async () => acknowledged.length >= 20);
    const postmaster = await postmasterOf(data.folder);
    process.kill(service.pid, 'SIGKILL');
    process.kill(postmaster, 'SIGKILL');
    expect(await service.exit).toMatchObject({ signal: 'SIGKILL' });
    going = false;
    await writer;
    service = await launch({ DATA_DIR: data.folder });
    const { segments } = JSON.parse((await call(service.url, 'GET', '/api/users/1/segments')).text);
    expect(acknowledged.filter((slug) => !segments.includes(slug))).toEqual([]);
  });

  it('of the service alone: the next one takes its PostgreSQL over', async () => {
    await call(service.url, 'POST', '/api/segments', { body: '{"slug":"Survivor"}' });
    const postmaster = await postmasterOf(data.folder);
    await service.kill('SIGKILL');
    expect(isAlive(postmaster)).toBe(true);
    service = await launch({ DATA_DIR: data.folder });
    expect(await postmasterOf(data.folder)).toBe(postmaster);
    expect((await call(service.url, 'POST', '/api/segments', { body: '{"slug":"Survivor"}' })).status).toBe(409);
  });

  it('of its PostgreSQL alone: the service brings it back', async () => {
    const postmaster = await postmasterOf(data.folder);
    process.kill(postmaster, 'SIGKILL');
    // It may be back before anyone looks.
    const isBack = async () => (await postmasterOf(data.folder)) !== postmaster;
    await eventually(async () => (await call(service.url, 'GET', '/readyz')).status === 503 || (await isBack()));
    const answer = await call(service.url, 'POST', '/api/segments', { body: '{"slug":"Meanwhile"}' });
    expect(answer.status).toBeOneOf([200, 503]);
    await eventually(async () => (await call(service.url, 'GET', '/readyz')).status === 200);
    expect(await postmasterOf(data.folder)).not.toBe(postmaster);
    expect((await call(service.url, 'POST', '/api/segments', { body: '{"slug":"Back"}' })).status).toBe(200);
    expect((await call(service.url, 'POST', '/api/segments', { body: '{"slug":"Survivor"}' })).status).toBe(409);
  });
});

describe('the data folder', () => {
  it.runIf(process.getuid?.() === 0)('may be private to root', async () => {
    expect((await stat(data.folder)).mode & 0o777).toBe(0o700);
    await chmod(data.folder, 0o700);
    const [postmaster = 0] = await familyOf(await postmasterOf(data.folder));
    expect((await stat(`/proc/${postmaster}`)).uid).not.toBe(0);
  });

  it('keeps its secrets to its owner', async () => {
    expect((await stat(join(data.folder, 'jwt-secret'))).mode & 0o077).toBe(0);
    expect((await stat(join(data.folder, 'postgres'))).mode & 0o077).toBe(0);
  });
});

describe('SIGTERM', () => {
  it('exits 0, with PostgreSQL stopped; so does SIGINT', async () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      expect(await service.kill(signal)).toMatchObject({ code: 0, stderr: '' });
      await expect(postmasterOf(data.folder)).rejects.toThrow('no postmaster');
      if (signal === 'SIGINT') service = await launch({ DATA_DIR: data.folder });
    }
  });

  it('that reaches it twice at once is one stop', async () => {
    const other = await launch({ DATA_DIR: data.folder });
    process.kill(other.pid, 'SIGTERM');
    expect(await other.kill('SIGTERM')).toMatchObject({ code: 0 });
    await expect(postmasterOf(data.folder)).rejects.toThrow('no postmaster');
  });

  it('is not the only end that leaves no PostgreSQL behind: a start that fails late does not, either', async () => {
    const { code, stderr } = await runToEnd({ PORT: '0', DATA_DIR: data.folder, ADMIN_PASSWORD: 'x'.repeat(200) });
    expect(code).toBe(1);
    expectSentence(stderr, /ADMIN_PASSWORD/);
    await expect(postmasterOf(data.folder)).rejects.toThrow('no postmaster');
  });
});
