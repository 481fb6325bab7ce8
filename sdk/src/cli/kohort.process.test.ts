import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import { temporaryFolder } from '@kohort/testkit/folder.ts';
import { inheritedEnv } from '@kohort/testkit/processes.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Listening, listen } from '../../../server/test/listen.ts';
import { ADMIN_PASSWORD } from '../../../server/test/service.ts';
import { createClient } from '../index.ts';

let database: TestDatabase;
let service: Listening;
let folder: string;
let env: NodeJS.ProcessEnv;
beforeAll(async () => {
  database = await createDatabase();
  service = await listen(database.url, { env: { WEBHOOK_ALLOW: '127.0.0.0/8' } });
  folder = await temporaryFolder('command');
  const url = `http://127.0.0.1:${service.port}`;
  const { token } = await createClient({ url }).auth.signIn({ body: { username: 'admin', password: ADMIN_PASSWORD } });
  env = { ...inheritedEnv(), KOHORT_URL: url, KOHORT_TOKEN: token };
});
afterAll(async () => {
  await service.stop();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function kohort(args: readonly string[], over: NodeJS.ProcessEnv = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const argv = [join(import.meta.dirname, 'main.ts'), ...args];
    execFile(process.execPath, argv, { env: { ...env, ...over }, cwd: folder }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, out, err }),
    );
  });
}

async function done(...args: string[]): Promise<string> {
  const { code, out, err } = await kohort(args);
  expect([code, err]).toEqual([0, '']);
  return out;
}

describe('kohort', () => {
  it('keeps segments', async () => {
    expect(await done('segments', 'create', 'FREE_SHIPPING', '--percentage', '30', '--tag', 'checkout', 'web')).toBe(
      'created FREE_SHIPPING (id 1)\n',
    );
    expect(
      await done('segments', 'edit', 'FREE_SHIPPING', '--condition', '{"country":"NL"}', '--clear', 'description'),
    ).toBe('FREE_SHIPPING is at version 2\n');
    expect(await done('segments', 'list', '--tag', 'web')).toBe(
      'SLUG           VERSION  TAGS          RULE\nFREE_SHIPPING  2        checkout,web  30 % of {"country":"NL"}\n',
    );
    expect(JSON.parse(await done('--json', 'segments', 'show', 'FREE_SHIPPING'))).toMatchObject({
      slug: 'FREE_SHIPPING',
      percentage: 30,
      count: 0,
    });
    expect(await done('segments', 'show', 'FREE_SHIPPING')).toMatch(/^tags +\["checkout","web"\]$/m);
    const stale = await kohort(['segments', 'edit', 'FREE_SHIPPING', '--percentage', '5', '--if-version', '1']);
    expect(stale).toEqual({ code: 2, out: '', err: 'The segment is at version 2 now.\n' });
    expect(await done('segments', 'edit', 'FREE_SHIPPING', '--rename', 'SHIPPING')).toContain(
      'SHIPPING is at version 3',
    );
    expect(await done('segments', 'delete', 'SHIPPING')).toBe('deleted SHIPPING\n');
    expect(JSON.parse(await done('segments', 'list', '--json'))).toEqual([]);
  });

  it('puts users in and out, and says why', async () => {
    await done('segments', 'create', 'LIST');
    expect(await done('users', 'add', 'ext:ann', 'LIST', '--ttl', '3600')).toBe('ext:ann is in LIST\n');
    expect(await done('users', 'show', 'ext:ann')).toMatch(
      /^\d+ {2}ann\n\{\}\nSEGMENT +SOURCE +.*\nLIST +include +\d{4}-/,
    );
    expect(await done('why', 'ext:ann', 'LIST')).toMatch(/^member +true\nsource +include\nexpires_at +\d{4}-/);
    expect(JSON.parse(await done('--json', 'why', 'ext:ann', 'LIST'))).toMatchObject({
      member: true,
      source: 'include',
    });
    expect(await done('users', 'remove', 'ext:ann', 'LIST')).toBe('ext:ann is out of LIST\n');
    expect(await done('users', 'show', 'ext:ann')).toContain('in no segment');
  });

  it('imports and exports files, and follows jobs', async () => {
    await writeFile(join(folder, 'in.csv'), 'external_id\nben\n');
    const { code, out } = await kohort(['import', '--segment', 'LIST', '--unknown', 'create', 'in.csv']);
    expect([code, out]).toEqual([0, expect.stringMatching(/^done: 1 added.*job (\d+)\)\n$/)]);
    const job = /job (\d+)/.exec(out)?.[1] ?? '';
    expect(await done('jobs', 'show', job)).toMatch(/^job \d+ {2}segment_import {2}done {2}1 of 1 rows\n1 added/);
    expect(JSON.parse(await done('--json', 'jobs', 'follow', job))).toMatchObject({ state: 'done' });
    expect(await kohort(['jobs', 'cancel', job])).toMatchObject({ code: 2 });
    const listed = await done('jobs', 'list', '--state', 'done', '--segment', 'LIST', '--limit', '1');
    expect(listed).toMatch(new RegExp(`^JOB .*\\n${job} +segment_import +done +LIST +1/1 +user:1 +\\d{4}-.*\\n$`));
    expect(JSON.parse(await done('--json', 'jobs', 'list', '--kind', 'user_import'))).toEqual([]);
    expect((await kohort(['export', '--segment', 'LIST'])).out).toMatch(/^user_id,external_id,expires_at\n\d+,ben,\n$/);
  });

  it('keeps what a segment has of time, shares and layers', async () => {
    await createClient({ url: env.KOHORT_URL ?? '', token: env.KOHORT_TOKEN }).layers.createLayer({
      body: { slug: 'L' },
    });
    await done('segments', 'create', 'RAMP', '--ramp', '0-50.5@2026-12-01T00:00:00Z/2026-12-08T00:00:00Z');
    await done('segments', 'create', 'RANGE', '--layer', 'L:0-12.5', '--bucket-by', 'company.id');
    await done('segments', 'edit', 'RANGE', '--active-from', '2026-12-01T00:00:00Z');
    const listed = await done('segments', 'list', '--query', 'RA');
    expect(listed).toContain('0-50.5 % (2026-12-01T00:00:00.000Z to 2026-12-08T00:00:00.000Z)');
    expect(listed).toContain('0-12.5 % of layer L by company.id from 2026-12-01T00:00:00.000Z');
    await done('pull', 'timed.yaml');
    expect(await readFile(join(folder, 'timed.yaml'), 'utf8')).toContain(
      'ramp:\n      from: 0\n      to: 50.5\n      starts_at: 2026-12-01T00:00:00.000Z\n      ends_at: 2026-12-08T00:00:00.000Z\n',
    );
    await done('segments', 'edit', 'RAMP', '--clear', 'ramp');
    expect(JSON.parse(await done('--json', 'segments', 'show', 'RAMP')).ramp).toBeNull();
    for (const slug of ['RAMP', 'RANGE']) await done('segments', 'delete', slug);
  });

  it('follows segments from feeds', async () => {
    await done('segments', 'create', 'FED', '--tag', 'fed');
    await done('users', 'add', 'ext:early', 'FED');
    const made = await done('feeds', 'create', 'mail', '--segment', 'FED');
    const [, id = '', cursor = ''] = /^created feed (\d+), which begins at (\S+)\n$/.exec(made) ?? [];
    expect(await done('feeds', 'list')).toMatch(/^FEED .*\n\d+ +mail +\w+ +entered,left,segment +FED\n$/);
    await eventually(async () => (await kohort(['feeds', 'snapshot', id])).code === 0);
    expect(await done('feeds', 'snapshot', id)).toMatch(/^FED {2}\d+ {2}early\ncursor \S+\n$/);

    const file = join(folder, 'cursor');
    const follow = ['feeds', 'follow', id, '--once', '--cursor-file', file];
    await done(...follow);
    await done('users', 'add', 'ext:late', 'FED');
    await done('users', 'remove', 'ext:early', 'FED');
    let heard = '';
    await eventually(async () => {
      heard += await done(...follow);
      return heard.includes('left');
    });
    expect(heard).toMatch(/^\S+ {2}entered {2}FED {2}\d+ \(late\) {2}add {2}user:1\n\S+ {2}left {5}FED .*remove/);
    const again = await done('--json', 'feeds', 'follow', id, '--once', '--after', cursor);
    const changes = again
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(changes.map(({ type, external_id }) => [type, external_id])).toEqual([
      ['entered', 'late'],
      ['left', 'early'],
    ]);
    expect(await done('feeds', 'delete', id)).toBe(`deleted feed ${id}\n`);
    await done('segments', 'delete', 'FED');
  });

  it('keeps webhooks', async () => {
    await done('segments', 'create', 'HOOKED');
    const [, feed = ''] = /feed (\d+)/.exec(await done('feeds', 'create', 'hooked', '--segment', 'HOOKED')) ?? [];
    const made = await done('webhooks', 'create', feed, 'http://127.0.0.1:9/');
    const [, id = ''] = /^created webhook (\d+)\nsecret \(shown this once\): whsec_\S+\n$/.exec(made) ?? [];
    expect(await done('webhooks', 'pause', id)).toBe(`webhook ${id} is paused\n`);
    expect(await done('webhooks', 'list')).toMatch(
      new RegExp(`^WEBHOOK .*\\n${id} +${feed} +paused +0 s +http://127.0.0.1:9/\\n$`),
    );
    expect(await done('webhooks', 'test', id)).toMatch(/^DELIVERY .*\n\d+ +test +pending/);
    let deliveries = '';
    await eventually(async () => {
      deliveries = await done('webhooks', 'deliveries', id);
      return deliveries.includes('failed');
    });
    const [, delivery = ''] = /^(\d+) +test +failed/m.exec(deliveries) ?? [];
    expect(await done('webhooks', 'replay', id, delivery)).toContain(`test of ${delivery}`);
    expect(await done('webhooks', 'secret', id)).toMatch(/^secret .*whsec_.*\nthe one before is good until \d{4}-/);
    expect(await done('webhooks', 'resume', id)).toMatch(/^webhook \d+ is /);
    expect(await done('webhooks', 'delete', id)).toBe(`deleted webhook ${id}\n`);
    await done('feeds', 'delete', feed);
    await done('segments', 'delete', 'HOOKED');
  });

  it('says which version it is', async () => {
    expect(await done('--version')).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('leaves with 3 when it cannot get through', async () => {
    expect(await kohort(['segments', 'list'], { KOHORT_URL: 'http://127.0.0.1:9' })).toMatchObject({ code: 3 });
    const refused = await kohort(['segments', 'list'], { KOHORT_TOKEN: '' });
    expect(refused).toMatchObject({ code: 3, err: expect.stringContaining('KOHORT_TOKEN is not set.') });
  });

  it('completes commands and options in bash', async () => {
    const script = await done('completion', 'bash');
    expect(await done('completion', 'zsh')).toContain('bashcompinit');
    const complete = (line: string): Promise<string[]> =>
      new Promise((resolve, reject) => {
        const words = line.split(' ');
        const typed = `${script}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _kohort; echo "\${COMPREPLY[@]}"`;
        execFile('bash', ['-c', typed], (error, out) => (error ? reject(error) : resolve(out.trim().split(' '))));
      });
    expect(await complete('kohort se')).toEqual(['segments']);
    expect(await complete('kohort segments ')).toEqual(['list', 'show', 'create', 'edit', 'delete']);
    expect(await complete('kohort segments create NEW --per')).toEqual(['--percentage']);
    expect(await complete('kohort import --unk')).toEqual(['--unknown']);
    expect(await complete('kohort segments show ')).toEqual(['']);
  });
});

describe('configuration as code', () => {
  const file = () => join(folder, 'kohort.yaml');
  const edit = async (from: string | RegExp, to: string) =>
    writeFile(file(), (await readFile(file(), 'utf8')).replace(from, to));

  it('pulls, shows what would change, and applies it', async () => {
    await done('users', 'add', 'ext:carl', 'LIST');
    await done('segments', 'create', 'DUTCH', '--condition', '{"country":"NL"}', '--tag', 'web');
    expect(await done('pull', file())).toBe(`2 segments in ${file()}\n`);
    expect(await readFile(file(), 'utf8')).toContain(
      'segments:\n  DUTCH:\n    version: 1\n    tags:\n      - web\n    condition:\n      country: NL\n  LIST:\n    version: 1\n',
    );
    expect(await done('diff', file())).toBe('Nothing would change.\n');
    expect((await kohort(['diff', file(), '--exit-code'])).code).toBe(0);

    await edit('  DUTCH:\n', '  # Ours.\n  DUTCH:\n    percentage: 100\n');
    await edit(/ {2}LIST:\n {4}version: 1\n/, '  NEW:\n    condition: { $inSegment: DUTCH }\n');
    const found = await done('diff', file(), '--prune');
    expect(found).toContain('~ DUTCH: 0 would enter, 0 would leave\n    + percentage: 100\n+ NEW: 0 would enter');
    expect(found).toMatch(/- LIST: 0 would enter, \d+ would leave\n/);
    expect((await kohort(['diff', file(), '--exit-code'])).code).toBe(1);
    expect(await done('diff', file())).toContain('LIST is not in the file; --prune would delete it');

    expect(await done('apply', file(), '--prune')).toBe('~ DUTCH\n+ NEW\n- LIST\n');
    expect(await done('segments', 'list')).toMatch(/^SLUG.*\nDUTCH +2 +web +100 % of .*\nNEW +1 .*\n$/);
    const text = await readFile(file(), 'utf8');
    expect(text).toContain('# Ours.\n  DUTCH:\n    percentage: 100\n    version: 2\n');
    expect(await done('apply', file())).toBe('Nothing to change.\n');
  });

  it('refuses what was changed meanwhile', async () => {
    await done('segments', 'edit', 'DUTCH', '--percentage', '50');
    await edit('percentage: 100', 'percentage: 70');
    expect(await done('diff', file())).toContain('! DUTCH was changed in the service since the file was pulled');
    const { code, err } = await kohort(['apply', file()]);
    expect([code, err]).toEqual([2, expect.stringContaining('Nothing was changed. Changed since')]);
    expect(await done('segments', 'list')).toContain('50 % of');
  });
});

// Side by side: most of the time of each is spent on starting its process.
describe.concurrent('what cannot be done', () => {
  it.each([
    [2, ['nonsense']],
    [2, ['segments', 'create']],
    [2, ['segments', 'create', 'S', '--percentage', '101']],
    [2, ['segments', 'create', 'S', '--condition', '{country']],
    [2, ['segments', 'edit', 'LIST']],
    [2, ['segments', 'edit', 'LIST', '--clear', 'salt']],
    [2, ['segments', 'show', 'NONE']],
    [2, ['users', 'show', 'ext:nobody']],
    [2, ['users', 'add', 'ext:ann', 'LIST', '--ttl', 'soon']],
    [2, ['import', '--colour']],
    [2, ['completion', 'fish']],
    [2, ['jobs', 'list', '--state', 'nonsense']],
    [2, ['jobs', 'list', '--limit', '0']],
    [2, ['feeds', 'create', 'x']],
    [2, ['webhooks', 'create', 'x', 'https://receiver.example']],
    [2, ['feeds', 'follow', '987654', '--once']],
    [2, ['segments', 'create', 'S', '--ramp', '0-50']],
    [2, ['segments', 'create', 'S', '--layer', 'L']],
  ])('leaves with %i after %j', async (code, args) => {
    const found = await kohort(args);
    expect([found.code, found.out]).toEqual([code, '']);
    expect(found.err).not.toBe('');
  });

  it.each([
    ['segments: [', 'is not YAML'],
    ['nonsense', 'has to begin with "segments:"'],
    ['segments: []', 'has to be a map'],
    ['segments:\n  A: 1', 'segments.A has to be a map of fields'],
    ['segments:\n  A: { salt: x }', 'segments.A.salt cannot be set'],
    ['segments:\n  A: { version: new }', 'segments.A.version has to be a whole number'],
    ['segments: {}\nusers: {}', 'a part "users"'],
    ['segments:\n  A: { percentage: 101 }', '/body/segments/0/percentage'],
  ])('is no configuration: %j', async (text, reason) => {
    const bad = `bad-${randomUUID()}.yaml`;
    await writeFile(join(folder, bad), text);
    expect(await kohort(['apply', bad])).toMatchObject({ code: 2, err: expect.stringContaining(reason) });
  });
});
