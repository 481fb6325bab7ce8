import { execFileSync, spawn } from 'node:child_process';
import { open, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { temporaryFolder } from '@kohort/testkit/folder.ts';
import { inheritedEnv } from '@kohort/testkit/processes.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Listening, listen } from '../../../server/test/listen.ts';
import { ADMIN_PASSWORD } from '../../../server/test/service.ts';
import { createClient } from '../index.ts';
import { progressOn } from './progress.ts';

let database: TestDatabase;
let service: Listening;
let folder: string;
let env: Record<string, string>;
beforeAll(async () => {
  database = await createDatabase();
  service = await listen(database.url);
  folder = await temporaryFolder('cli');
  const url = `http://127.0.0.1:${service.port}`;
  const { token } = await createClient({ url }).auth.signIn({ body: { username: 'admin', password: ADMIN_PASSWORD } });
  await createClient({ url, token }).segments.createSegment({ body: { slug: 'S' } });
  env = { KOHORT_URL: url, KOHORT_TOKEN: token };
});
afterAll(async () => {
  await service.stop();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

interface RunOptions {
  readonly input?: string;
  readonly over?: Readonly<Record<string, string>>;
  /** Called with all that it has written to stderr so far, whenever that is more. */
  readonly onError?: (err: string) => void;
}

function run(
  command: 'import' | 'export',
  args: readonly string[],
  { input, over = {}, onError = () => undefined }: RunOptions = {},
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, `${command}.ts`), ...args], {
    env: { ...inheritedEnv(), ...env, ...over },
    stdio: 'pipe',
  });
  const found = { out: '', err: '' };
  child.stdout.on('data', (chunk) => {
    found.out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    found.err += chunk;
    onError(found.err);
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...found })));
}

describe('the command line', () => {
  it('imports a file and writes it out again', async () => {
    const file = join(folder, 'in.csv');
    await writeFile(file, 'external_id\na\nb\n');
    const dry = await run('import', ['--segment', 'S', '--unknown', 'create', '--dry-run', file]);
    expect(dry).toMatchObject({ code: 0, out: expect.stringContaining('would be: 2 added') });
    const { code, out, err } = await run('import', [
      '--segment',
      'S',
      '--unknown',
      'create',
      '--expires-at',
      '2099-01-01T00:00:00Z',
      file,
    ]);
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(/^done: 2 added, 0 updated, 0 removed, 0 unchanged \(2 rows, job \d+\)\n$/),
    });
    expect(err).toMatch(/^sending bytes 16 of 16\n/);
    const target = join(folder, 'out.csv');
    expect(await run('export', ['--segment', 'S', '-o', target])).toMatchObject({ code: 0, out: '' });
    const text = await readFile(target, 'utf8');
    expect(text).toMatch(/^user_id,external_id,expires_at\n\d+,a,2099-01-01T00:00:00.000Z\n\d+,b,/);
    const again = await run('import', ['--segment', 'S', '--mode', 'replace', '-'], { input: text });
    expect(again).toMatchObject({ code: 0, out: expect.stringContaining('0 removed, 2 unchanged') });
    const lines = await run('export', ['--segment', 'S', '--format', 'ndjson']);
    expect(
      lines.out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).external_id),
    ).toEqual(['a', 'b']);
  });

  it('imports users', async () => {
    const input = '{"external_id":"c","attributes":{"n":1}}\n';
    expect(await run('import', ['--users', '--format', 'ndjson', '-'], { input })).toMatchObject({
      code: 0,
      out: expect.stringContaining('1 added'),
    });
  });

  it('leaves with 1 when the job fails, and names the lines', async () => {
    const { code, out, err } = await run('import', ['--segment', 'S', '-'], { input: 'external_id\na\nwho\n' });
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain('failed: nothing was changed');
    expect(err).toContain('  line 3: there is no user with this external_id');
    expect(err).toContain('--unknown create');
  });

  it.each<['import' | 'export', string[]]>([
    ['import', []],
    ['import', ['file.csv']],
    ['import', ['--segment', 'S']],
    ['import', ['--segment', 'S', '--users', '-']],
    ['import', ['--segment', 'S', '--mode', 'merge', '-']],
    ['import', ['--segment', 'S', '--colour', '-']],
    ['import', ['--segment', 'S', '--patience', 'much', '-']],
    ['import', ['--segment', 'S', '/no/such/file.csv']],
    ['import', ['--segment', 'NONE', '-']],
    ['import', ['--users', '--mode', 'add', '-']],
    ['export', []],
    ['export', ['--segment', 'S', '--format', 'xml']],
    ['export', ['--segment', 'NONE']],
  ])('leaves %s %j with 2', async (command, args) => {
    const { code, out, err } = await run(command, args, { input: 'external_id\n' });
    expect([code, out]).toEqual([2, '']);
    expect(err).not.toBe('');
  });

  it('leaves with 3 when it cannot get through', async () => {
    for (const over of [{ KOHORT_URL: 'http://127.0.0.1:9' }, { KOHORT_TOKEN: 'nonsense' }, { KOHORT_TOKEN: '' }]) {
      expect((await run('import', ['--segment', 'S', '-'], { input: 'external_id\n', over })).code).toBe(3);
      expect((await run('export', ['--segment', 'S'], { over })).code).toBe(3);
    }
  });
});

describe('hints', () => {
  it.each([
    [{ KOHORT_URL: 'localhost:8101' }, 2, 'KOHORT_URL is "localhost:8101": it has to begin with http:// or https://.'],
    [{ KOHORT_URL: 'http://' }, 2, 'KOHORT_URL is "http://", which is not a URL.'],
    [{ KOHORT_TOKEN: '' }, 3, 'KOHORT_TOKEN is not set.'],
    [{ KOHORT_TOKEN: 'nonsense' }, 3, 'KOHORT_TOKEN is refused'],
  ])('with %j', async (over, code, hint) => {
    const found = await run('export', ['--segment', 'S'], { over });
    expect(found).toMatchObject({ code, err: expect.stringContaining(hint) });
  });
});

describe('what a file may be', () => {
  it('names the file that cannot be read, and no other', async () => {
    const loop = join(folder, 'loop.csv');
    await symlink(loop, loop);
    // The latter can be opened, also by root, and fails when it is being sent.
    for (const [file, reason] of [
      [loop, 'ELOOP'],
      ['/proc/self/mem', 'EIO'],
    ] as const) {
      const { code, err } = await run('import', ['--segment', 'S', file]);
      expect(err).toContain(`${file} cannot be read (${reason}).`);
      expect(code).toBe(2);
    }
    expect((await run('import', ['--segment', 'S', folder])).err).toContain('is no file that can be read.');
  });

  it('takes a named pipe and /dev/stdin', async () => {
    const pipe = join(folder, 'pipe.csv');
    execFileSync('mkfifo', [pipe]);
    const input = 'external_id\npiped\n';
    const args = ['--segment', 'S', '--unknown', 'create'];
    const [{ code, out, err }] = await Promise.all([run('import', [...args, pipe]), writeFile(pipe, input)]);
    expect([code, out]).toEqual([0, expect.stringContaining('done: 1 added')]);
    expect(err).toMatch(/^sending bytes 18\n/);
    expect(await run('import', [...args, '/dev/stdin'], { input })).toMatchObject({
      code: 0,
      out: expect.stringContaining('1 unchanged'),
    });
    // The writer of the pipe may take for ever, but a refusal is reported at once.
    const held = await open(pipe, 'r+');
    try {
      await held.write(input);
      expect((await run('import', ['--segment', 'NONE', pipe])).code).toBe(2);
    } finally {
      await held.close();
    }
  });
});

describe('undo', () => {
  it('gives users the state they had before, after a dry run that says so', async () => {
    const sent = await run('import', ['--users', '-'], { input: 'external_id,city\nundone,Ulm\n' });
    const job = /job (\d+)/.exec(sent.out)?.[1] ?? '';
    expect(await run('import', ['--undo', job, '--dry-run'])).toMatchObject({
      code: 0,
      out: expect.stringContaining('would be: 0 added, 0 updated, 1 removed'),
    });
    expect(await run('import', ['--undo', job])).toMatchObject({ code: 0, out: expect.stringContaining('1 removed') });
    expect(await run('import', ['--undo', job])).toMatchObject({ code: 0, out: expect.stringContaining('1 kept') });
    expect((await run('import', ['--undo', '987654'])).code).toBe(2);
    expect((await run('import', ['--undo', job, 'users.csv'])).code).toBe(2);
  });
});

describe('a service that restarts while a job is followed', () => {
  const job = { id: '7', kind: 'segment_import', rows: 2, added: 0, updated: 0, removed: 0, unchanged: 0, errors: [] };
  const running = { ...job, state: 'running', processed: 1, created_at: '2026-01-01T00:00:00.000Z', finished_at: null };
  const done = { ...running, state: 'done', processed: 2, added: 2, finished_at: '2026-01-01T00:00:01.000Z' };
  const event = (what: object) => `data: ${JSON.stringify(what)}\n\n`;

  /** Takes the file, says that the job runs, and dies; `later` answers from the next connection on. */
  async function against(later: RequestListener, args: readonly string[]) {
    let asked = 0;
    const hasRead = Promise.withResolvers<void>();
    const server = createServer((request, response) => {
      if (request.method === 'POST') {
        request.resume().on('end', () => response.writeHead(202).end('{"job":"7"}'));
      } else if (asked++ === 0) {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        // A reset overtakes what was written: the client has to have read it.
        response.write(event(running));
        void hasRead.promise.then(() => request.socket.resetAndDestroy());
      } else {
        later(request, response);
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const over = { KOHORT_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
    const onError = (err: string) => err.includes('applying rows') && hasRead.resolve();
    try {
      return await run('import', ['--segment', 'S', ...args, '-'], { input: 'external_id\na\nb\n', over, onError });
    } finally {
      server.close();
    }
  }

  it('is waited for, and the end of the job is reported', async () => {
    let times = 0;
    const answers: RequestListener[] = [
      (request) => request.socket.resetAndDestroy(),
      (_, response) => response.writeHead(502).end('<h1>Bad Gateway</h1>'),
      (_, response) => response.writeHead(503, { 'retry-after': '1' }).end('{"code":"unavailable"}'),
      (_, response) => response.end(event(done)),
    ];
    const { code, out, err } = await against((...call) => answers[times++]?.(...call), []);
    expect(err).toBe('sending bytes 16\napplying rows 1 of 2\nwaiting for Kohort … (job 7)\n');
    expect([code, out]).toEqual([0, 'done: 2 added, 0 updated, 0 removed, 0 unchanged (2 rows, job 7)\n']);
  });

  it('is given up in the end, with 3 and the number of the job', async () => {
    const { code, err } = await against((request) => request.socket.resetAndDestroy(), ['--patience', '1']);
    expect(err).toMatch(/Kohort cannot be reached at http:\S+ any more\. Job 7 may still go on\.\n$/);
    expect(code).toBe(3);
  });
});

describe('progress', () => {
  function shown(isTTY: boolean): string {
    let text = '';
    const write = (more: string) => {
      text += more;
      return true;
    };
    const out = { isTTY, write };
    const progress = progressOn(out as unknown as NodeJS.WriteStream);
    progress.show('applying rows', 500, 1_000);
    progress.show('applying rows', 600, 1_000);
    progress.show('applying rows', 1_000, 1_000);
    progress.end();
    return text;
  }

  it('is a bar on a terminal', () => {
    expect(shown(true)).toContain('applying rows [###############...............] 50 %  500 of 1,000');
    expect(shown(true)).toMatch(/100 %.*\n$/);
  });

  it('is plain lines elsewhere', () => {
    expect(shown(false)).toBe('applying rows 500 of 1,000\napplying rows 1,000 of 1,000\n');
  });
});
