import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Endpoint, endpoints } from '@kohort/contract';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import { type Answer, call } from '@kohort/testkit/http.ts';
import { databaseEnv } from '@kohort/testkit/pooler.ts';
import { launch, type Running, untilReady } from '@kohort/testkit/service.ts';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** Words that only these tests know, in every place where a secret goes. They are looked for wherever one must not be. */
const canary = (what: string) => `canary-${what}-${randomBytes(9).toString('hex')}`;
const ADMIN = canary('admin');
const JWT = canary('jwt-secret-of-more-than-32-bytes');
const given = {
  password: canary('password'),
  wrong: canary('wrong'),
  next: canary('next'),
  misplaced: canary('misplaced').slice(0, 45),
  garbage: canary('token'),
  basic: Buffer.from(`admin:${canary('basic')}`).toString('base64'),
  cookie: canary('cookie'),
  idempotency: canary('idempotency'),
};
/** Names that would begin a line of the log, or close a string in it. */
const FORGED = [
  '"}\n{"level":50,"msg":"forged"}\n',
  '\r\n{"forged":true}',
  '\u2028forged\u0085',
  '\u001b[2Jforged',
  '","msg":"forged',
];

let database: TestDatabase;
let service: Running;
let client: pg.Client;
let token = '';
/** Drawn by the service: a session and a key, told once each. */
const drawn: string[] = [];
const answers: { what: string; answer: Answer }[] = [];

async function ask(
  method: string,
  path: string,
  options: { body?: unknown; token?: string | undefined; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const { body, ...rest } = options;
  const payload = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  const headers = { cookie: `session=${given.cookie}`, ...rest.headers };
  const answer = await call(service.url, method, path, {
    ...rest,
    headers,
    ...(payload !== undefined && { body: payload }),
  });
  answers.push({ what: `${method} ${path}`, answer });
  return answer;
}

/** A call whose answer is meant to carry what was drawn for it. */
async function told(path: string, field: string, options: Parameters<typeof ask>[2]): Promise<string> {
  const { status, text } = await ask('POST', path, options);
  answers.pop();
  if (status >= 300) throw new Error(`${path} answered ${status}: ${text}`);
  const secret = JSON.parse(text)[field];
  drawn.push(secret);
  return secret;
}

/** Every call there is, with secrets and names for all it may carry. */
async function everything(): Promise<void> {
  const fill = (path: string, name: string) =>
    path
      .replace('{user}', `ext:${encodeURIComponent(name)}`)
      .replace('{id}', '1')
      .replaceAll(/\{\w+\}/g, encodeURIComponent(name));
  const names = ['Plain', ...FORGED];
  const bodiesOf = ({ body }: Endpoint, name: string): unknown[] =>
    body
      ? [
          { name, username: name, password: given.password, current_password: given.wrong, new_password: given.next },
          { username: given.misplaced, password: given.wrong },
          { username: 'someone', password: { secret: given.wrong }, name },
          { slug: name, description: name, external_id: name, attributes: { name }, role: 'viewer', month: '2026-11' },
          { external_id: name },
          { slug: name },
          { name, role: 'viewer' },
          { month: '2026-11' },
          { users: [name] },
          `{"password":"${given.wrong}","x":`,
          `{"password":"${given.wrong}","password2":"\\ud800"}`,
        ]
      : [undefined];
  for (const endpoint of endpoints) {
    // To end the session, or the admin, would end the tests.
    if (endpoint.id === 'signOut' || endpoint.id === 'followJob') continue;
    for (const name of names) {
      for (const body of bodiesOf(endpoint, name)) {
        const headers = {
          'idempotency-key': `${given.idempotency}-${Math.trunc(answers.length / 2)}`,
          ...(endpoint.uploads && { 'Content-Type': 'text/csv' }),
          'x-request-id': `"}{"forged":"${given.garbage}"`,
          'user-agent': `forged ${given.cookie}`,
        };
        const sent = endpoint.uploads ? `external_id\n"${name.replaceAll('"', '""')}"\n` : body;
        await ask(endpoint.method, fill(endpoint.path, name), {
          ...(sent !== undefined && { body: sent }),
          token,
          headers,
        });
      }
    }
    for (const authorization of [
      `Bearer ${given.garbage}`,
      `Basic ${given.basic}`,
      given.garbage,
      `Bearer ${token}x`,
    ]) {
      await ask(endpoint.method, fill(endpoint.path, 'Plain'), { headers: { authorization } });
    }
  }
}

function secrets(): string[] {
  const all = [ADMIN, JWT, ...Object.values(given), ...drawn, ...drawn.map((one) => one.split('.').at(-1) ?? one)];
  return all.flatMap((one) => [
    one,
    encodeURIComponent(one),
    Buffer.from(one).toString('base64').replace(/=+$/, '').slice(2, -3),
  ]);
}

function expectNone(text: string, where: string): void {
  expect(
    secrets().filter((secret) => text.includes(secret)),
    where,
  ).toEqual([]);
}

beforeAll(async () => {
  database = await createDatabase();
  service = await launch({
    MODE: 'production',
    ...databaseEnv(database.url),
    JWT_SECRET: JWT,
    ADMIN_PASSWORD: ADMIN,
    LOG_LEVEL: 'trace',
  });
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await untilReady(service);
  token = await told('/auth/sign-in', 'token', { body: { username: 'admin', password: ADMIN } });
  await ask('POST', '/auth/sign-up', { body: { name: FORGED[0], username: 'someone', password: given.password } });
  await told('/auth/sign-in', 'token', { body: { username: 'someone', password: given.password } });
  const headers = { 'idempotency-key': given.idempotency };
  for (let i = 0; i < 2; i++)
    await told('/api/keys', 'key', { body: { name: FORGED[0], role: 'editor' }, token, headers });
});
afterAll(async () => {
  await client?.end();
  await service?.kill('SIGTERM');
  await database?.drop();
});

describe('secrets, pushed through every call', { timeout: 240_000 }, () => {
  it('while all is well', async () => {
    await everything();
    expect(
      answers.filter(({ answer }) => answer.status >= 500).map(({ what, answer }) => [what, answer.status]),
    ).toEqual([]);
  });

  it('while the database refuses, in words that quote what it was given', async () => {
    await client.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'refused: %', row_to_json(NEW) USING DETAIL = row_to_json(NEW), HINT = row_to_json(NEW); END $$`);
    const tables = [
      'users',
      'accounts',
      'api_keys',
      'segments',
      'idempotent_calls',
      'jobs',
      'memberships',
      'throttles',
    ];
    for (const table of tables) {
      await client.query(
        `CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION refuse()`,
      );
    }
    const before = answers.length;
    await everything();
    for (const table of tables) await client.query(`DROP TRIGGER refuse ON ${table}`);
    expect(answers.slice(before).some(({ answer }) => answer.status === 500)).toBe(true);
  });

  it('while tables are gone', async () => {
    const tables = ['users', 'segments', 'api_keys', 'history'];
    for (const table of tables) await client.query(`ALTER TABLE ${table} RENAME TO ${table}_gone`);
    await everything();
    for (const table of tables) await client.query(`ALTER TABLE ${table}_gone RENAME TO ${table}`);
  });
});

describe('clients that leave early', { timeout: 120_000 }, () => {
  const rows = Array.from({ length: 10_000 }, (_, i) => `left-${i}\n`);
  const upload = { body: `external_id\n${rows.join('')}`, headers: { 'Content-Type': 'text/csv' } };
  const taken = async (job: string) =>
    JSON.parse((await call(service.url, 'GET', `/api/jobs/${job}`, { token })).text).state === 'done';
  const broken = { ...upload.headers, 'Idempotency-Key': `${given.idempotency}-left`, 'Transfer-Encoding': 'chunked' };

  /** Sends this, waits until the answer has begun (an upload: until it is being read), and is gone. */
  async function leave(line: string, headers: Record<string, string> = {}, when: 'begun' | 'soon' = 'begun') {
    const socket = connect(service.port, '127.0.0.1');
    const all = { Host: 'x', Authorization: `Bearer ${token}`, ...headers };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`${line} HTTP/1.1\r\n${lines.join('')}\r\n`);
    if ('Transfer-Encoding' in headers) socket.write('c\r\nexternal_id\n\r\n');
    if (when === 'begun') await once(socket, 'data');
    else await sleep(200);
    socket.destroy();
  }

  it('are logged nowhere, and what they asked for with it', async () => {
    await call(service.url, 'POST', '/api/segments', { body: '{"slug":"Left"}', token });
    const path = '/api/segments/Left/import?unknown=create';
    const { text } = await call(service.url, 'POST', path, {
      ...upload,
      token,
      headers: { ...upload.headers, 'Idempotency-Key': broken['Idempotency-Key'] },
    });
    const { job } = JSON.parse(text);
    await eventually(() => taken(job));
    const body = { month: new Date().toISOString().slice(0, 7) };
    const link = new URL(await told('/api/reports', 'url', { body, token })).pathname;
    drawn.push(link.split('/').at(-1) ?? link);

    const before = service.stdout();
    // A job that is still being received is followed for as long as one likes.
    const held = connect(service.port, '127.0.0.1');
    held.write(
      `POST /api/users/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n` +
        'Content-Type: text/csv\r\nContent-Length: 1000\r\n\r\nexternal_id\n',
    );
    const receiving = async () =>
      (await client.query<{ id: string }>("SELECT id FROM jobs WHERE state = 'receiving'")).rows[0]?.id;
    await eventually(async () => (await receiving()) !== undefined);
    for (let i = 0; i < 3; i++) {
      await leave(`GET ${link}`);
      await leave(`GET ${link}`, {}, 'soon');
      await leave('GET /api/segments/Left/export');
      await leave(`GET /api/jobs/${await receiving()}/events`);
      await leave(`POST ${path}`, broken, 'soon');
      await leave(`POST ${path}`, { ...broken, 'Idempotency-Key': `${given.idempotency}-new` }, 'soon');
    }
    held.destroy();
    await sleep(1_000);
    expect(service.stdout().slice(before.length)).toBe('');
    expect((await call(service.url, 'GET', link)).status).toBe(200);
  });
});

describe('afterwards they are nowhere', () => {
  it('in the answers', () => {
    for (const { what, answer } of answers) {
      expectNone(`${answer.text}\n${JSON.stringify([...answer.headers])}`, what);
    }
    expect(answers.length).toBeGreaterThan(1_000);
  });

  it('in the log', () => {
    const log = service.stdout();
    expect(log.split('\n').filter((line) => line.includes('call failed')).length).toBeGreaterThan(10);
    // A job fails by itself later, and its error too quotes what it was given.
    expect(log).toMatch(/job \d+ \(\w+\) failed/);
    expectNone(log, 'the log');
    expect(log).not.toContain('refused:');
  });

  it('in the metrics, the lists and the histories', async () => {
    for (const path of [
      '/metrics',
      '/readyz',
      '/openapi.json',
      '/api/keys',
      '/api/accounts',
      '/api/users',
      '/api/segments',
      '/api/users/1/history',
      '/auth/me',
    ]) {
      const { status, text } = await call(service.url, 'GET', path, { token });
      expect([path, status]).toEqual([path, 200]);
      expectNone(text, path);
    }
  });

  it('in the database', async () => {
    const { rows } = await client.query<{ name: string }>(
      `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
       WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')`,
    );
    expect(rows.length).toBeGreaterThan(10);
    for (const { name } of rows) {
      const { rows: all } = await client
        .query<{ line: string }>(`SELECT t::text AS line FROM ${name} t`)
        // The table of an upload that broke off, swept meanwhile.
        .catch((error) => {
          if (error.code === '42P01' && name.startsWith('import_staging.')) return { rows: [] };
          throw error;
        });
      for (const { line } of all) {
        // A column of bytes is written in hexadecimal digits.
        const bytes = [...line.matchAll(/\\\\?x([0-9a-f]+)/g)].map(([, hex]) =>
          Buffer.from(hex ?? '', 'hex').toString('latin1'),
        );
        expectNone(`${line}\n${bytes.join('\n')}`, name);
      }
    }
  });

  it('and nobody has written a line of the log but the service', () => {
    const lines = service.stdout().trimEnd().split('\n');
    const spoken = /^(Kohort |The |Mode|\s|$|http)/;
    for (const line of lines.filter((one) => !spoken.test(one))) {
      const entry = JSON.parse(line);
      expect(Object.keys(entry)).toEqual(expect.arrayContaining(['level', 'time']));
      expect(entry.forged).toBeUndefined();
      expect(entry.msg).not.toBe('forged');
    }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal would obey them.
    expect(service.stdout()).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028]/);
  });
});
