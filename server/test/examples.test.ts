import { auth, type Endpoint, type Example, endpoints, layers, tags } from '@kohort/contract';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { untilPasses } from '@kohort/testkit/eventually.ts';
import { open, type Wire } from '@kohort/testkit/wire.ts';
import sql from 'sql-template-tag';
import { Compile } from 'typebox/compile';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Listening, listen } from './listen.ts';
import { ADMIN_PASSWORD } from './service.ts';

/** What the examples are about; they are sent in this order of methods, so that reading comes before changing. */
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
/** Calls about a session have one of their own. */
const OF_ONES_OWN_SESSION = new Set(['me', 'changePassword', 'signOut']);
/** They end what others need. */
const LAST = ['deleteFeed', 'deleteSegment', 'changePassword', 'signOut'];

/** Accounts that may only read may call it. */
const changes = ({ method, access }: Endpoint) =>
  access === 'viewer' || access === 'browser' ? 0 : METHODS.indexOf(method);
const order = endpoints.toSorted((a, b) => LAST.indexOf(a.id) - LAST.indexOf(b.id) || changes(a) - changes(b));

let database: TestDatabase;
let service: Listening;
let url: string;
let admin: string;
let ann: string;
/** A file that never ends. */
let upload: Wire | undefined;
/** Answers to examples that the world itself is made of. */
const early = new Map<string, Response>();

async function send(method: string, path: string, { token, body, headers = {} }: SendOptions = {}): Promise<Response> {
  return fetch(`${url}${path}`, {
    method,
    headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
    ...(body !== undefined && { body }),
  });
}
interface SendOptions {
  readonly token?: string | undefined;
  readonly body?: string | undefined;
  readonly headers?: Record<string, string>;
}

const JSON_TYPE = { 'content-type': 'application/json' };

// biome-ignore lint/suspicious/noExplicitAny: whatever it is, the tests below say what it should be.
async function demand(method: string, path: string, body?: object, token?: string): Promise<any> {
  const headers = body && JSON_TYPE;
  const response = await send(method, path, { token, body: body && JSON.stringify(body), ...(headers && { headers }) });
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`);
  return response.json();
}
const asAdmin = (method: string, path: string, body?: object) => demand(method, path, body, admin);

const signIn = async (username: string, password: string): Promise<string> =>
  (await demand('POST', '/auth/sign-in', { username, password })).token;

/** The service that the examples of the contract were written down from. */
beforeAll(async () => {
  database = await createDatabase();
  // No webhook is sent: what is shown of them stays as it is.
  service = await listen(database.url, { sender: { atOnce: 0, failingAtOnce: 0 } });
  url = `http://127.0.0.1:${service.port}`;
  // Jobs that recur would draw ids that the examples give to others.
  await untilPasses(async () =>
    expect(await service.db.write(sql`UPDATE job_schedules SET next_at = 'infinity' RETURNING kind`)).not.toHaveLength(
      0,
    ),
  );
  admin = await signIn('admin', ADMIN_PASSWORD);
  early.set('signUp', await sendExample(auth.signUp, auth.signUp.example));
  ann = await signIn('ann', 'qwerty');
  await send('POST', '/api/users/import', {
    token: admin,
    headers: { 'content-type': 'application/x-ndjson' },
    body:
      '{"external_id":"shopper-4","attributes":{"country":"NL","orders":5}}\n' +
      '{"external_id":"shopper-5","attributes":{"country":"DE"}}\n',
  });
  await untilPasses(async () => expect((await asAdmin('GET', '/api/jobs/1')).state).toBe('done'));
  await asAdmin('POST', '/api/segments', { slug: 'AVITO_DISCOUNT_50' });
  await asAdmin('POST', '/api/users/ext:shopper-4/segments', { slug: 'AVITO_DISCOUNT_50' });
  await asAdmin('POST', '/api/segments', {
    slug: 'FREE_SHIPPING',
    description: 'Dutch shoppers with three orders',
    tags: ['checkout'],
    percentage: 30,
    condition: { country: 'NL', orders: { $gte: 3 } },
  });
  // A salt is drawn at random; nothing has been read with this one yet.
  await service.db.query(
    sql`UPDATE segments SET salt = 'fb92bd0772761b418f263b2c50f59ee2' WHERE slug = 'FREE_SHIPPING'`,
  );
  early.set('createLayer', await sendExample(layers.createLayer, layers.createLayer.example));
  await asAdmin('POST', '/api/keys', { name: 'nightly import', role: 'editor' });
  await asAdmin('POST', '/api/feeds', { name: 'mailing list', segments: ['AVITO_DISCOUNT_50'] });
  await asAdmin('POST', '/api/webhooks', { url: 'https://receiver.example/kohort', feed: 1 });
  await service.db.query(sql`
    INSERT INTO webhook_deliveries
      (webhook_id, message_id, type, state, until_id, until_nonce, changes, attempts, status, response, duration_ms,
        attempted_at, finished_at)
    SELECT 1, 'msg_1', 'changes', 'succeeded', c.id, c.nonce, 12, 1, 204, '', 31, statement_timestamp(), statement_timestamp()
    FROM feed_changes c
    LIMIT 1`);
});
afterAll(async () => {
  upload?.socket.destroy();
  await service.stop();
  await database.drop();
});

/** What an example cannot name beforehand, or what must be under way when it is sent. */
const prepared: Readonly<Record<string, () => Promise<Example | undefined>>> = {
  async downloadReport() {
    const report = await asAdmin('POST', '/api/reports', {
      from: '2026-01-01T00:00:00Z',
      to: '2100-01-01T00:00:00Z',
      segment: 'AVITO_DISCOUNT_50',
    });
    return { params: { report: new URL(report.url).pathname.split('/').at(-1) ?? '' } };
  },
  async followFlags() {
    const { eventStreams } = await asAdmin('POST', '/ofrep/v1/evaluate/flags', {
      context: { targetingKey: 'shopper-4' },
    });
    return { params: { stream: eventStreams[0].endpoint.requestUri.split('/').at(-1) } };
  },
  async cancelJob() {
    upload = await open(service.port);
    upload.write(
      `POST /api/segments/FREE_SHIPPING/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${admin}\r\n` +
        'Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nuser_id\n\r\n',
    );
    await untilPasses(async () => expect((await asAdmin('GET', '/api/jobs/5')).state).toBe('receiving'));
    return undefined;
  },
};

/** Values that differ with each run, by the names of their fields. */
const DIFFERS = new Set([
  'at',
  'since',
  'created_at',
  'cursor',
  'message_id',
  'secret',
  'attempted_at',
  'previous_secret_until',
  'sampled_at',
  'updated_at',
  'expires_at',
  'finished_at',
  'token',
  'key',
  'url',
  'requestUri',
]);

/** What differs with each run is replaced by its type; the schemas say more of its form. */
function settled(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) return value.map((one) => settled(one));
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, settled(one, key)]));
  return DIFFERS.has(name) && value !== null ? typeof value : value;
}

function settledText(text: string): string {
  return text
    .replace(/^id: [\w-]+$/m, 'id: ID')
    .replace(/"cursor":"[\w-]+"/, '"cursor":CURSOR')
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, 'TIME');
}

/** Of a stream that does not end by itself. */
async function firstPieceOf(response: Response): Promise<string> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const { value = '' } = (await reader?.read()) ?? {};
  await reader?.cancel();
  return value;
}

function pathOf({ path }: Endpoint, { params = {}, query = {} }: Example): string {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''));
  const search = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  return search.size > 0 ? `${filled}?${search}` : filled;
}

function requestOf(endpoint: Endpoint, example: Example): SendOptions {
  const token = endpoint.access === 'public' ? undefined : OF_ONES_OWN_SESSION.has(endpoint.id) ? ann : admin;
  const type = endpoint.uploads?.[0] ?? (endpoint.body && 'application/json');
  return {
    token,
    headers: { ...example.headers, ...(type && { 'content-type': type }) },
    body: endpoint.uploads ? example.upload : endpoint.body && JSON.stringify(example.body),
  };
}

const sendExample = (endpoint: Endpoint, example: Example) =>
  send(endpoint.method, pathOf(endpoint, example), requestOf(endpoint, example));

describe('every call has an example, which is answered as documented', () => {
  it.each(order.map((endpoint) => [endpoint.id, endpoint] as const))('%s', async (id, endpoint) => {
    if (!endpoint.example) throw new Error(`${id} has no example: add one to its endpoint in the contract.`);
    const example = { ...endpoint.example, ...(await prepared[id]?.()) };
    const response = early.get(id) ?? (await sendExample(endpoint, example));
    const text = id === 'followFlags' ? await firstPieceOf(response) : await response.text();
    expect([response.status, text]).toEqual([endpoint.success.status, expect.anything()]);
    const { body } = endpoint.success;
    if (!body) return expect(settledText(text)).toBe(settledText(String(example.answer ?? '')));
    expect(settled(JSON.parse(text))).toEqual(settled(example.answer));
    for (const [schema, value] of [
      [body, example.answer],
      [endpoint.body, example.body],
    ])
      if (schema) expect(Compile(schema).Errors(value)).toEqual([]);
  });
});

it('no example has an Idempotency-Key, with which an edited body could not be tried on the page', () => {
  const keyed = endpoints.filter(({ example }) => example?.headers && 'idempotency-key' in example.headers);
  expect(keyed.map(({ id }) => id)).toEqual([]);
});

describe('everything has words', () => {
  it.each(endpoints.map((endpoint) => [endpoint.id, endpoint] as const))('%s', (_, { params, query, headers, tag }) => {
    expect(Object.keys(tags)).toContain(tag);
    for (const schema of [params, query, headers])
      for (const [name, property] of Object.entries(schema?.properties ?? {}))
        expect([name, property]).toEqual([name, expect.objectContaining({ description: expect.any(String) })]);
  });
});
