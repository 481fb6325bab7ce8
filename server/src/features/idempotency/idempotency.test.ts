import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { endpoints } from '@kohort/contract';
import pg from 'pg';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { patiently } from '../../../test/client.ts';
import { type Answer, type CallOptions, type Service, startService } from '../../../test/service.ts';
import { sweepIdempotency } from './idempotency.ts';

let service: Service;
let editor: { id: number; token: string };
beforeAll(async () => {
  service = await startService();
  editor = await service.account('the.editor', 'editor');
  await service.call('POST', '/api/segments', { token: service.admin, body: { slug: 'Target' } });
  const feed = { name: 'followed', segments: ['Target'] };
  await service.call('POST', '/api/feeds', { token: service.admin, body: feed });
});
afterAll(() => service.stop());

let drawn = 0;
/** A word no other test has: bodies made of it do not collide. */
const fresh = () => `W${++drawn}`;

/** Of each call that takes a key: a request, another one, and how many effects there are by now. */
interface Creating {
  readonly id: string;
  readonly path: string;
  readonly otherPath?: string;
  readonly type?: string;
  readonly body: (word: string) => unknown;
  readonly effects: ReturnType<typeof sql>;
}

const CALLS: Creating[] = [
  {
    id: 'createUser',
    path: '/api/users',
    body: (word) => ({ name: word, attributes: { b: 1, a: { d: [1.5, null], c: 'é' } } }),
    effects: sql`SELECT count(*) AS n FROM users`,
  },
  {
    id: 'createSegment',
    path: '/api/segments',
    body: (word) => ({ slug: word, percentage: 12.5 }),
    effects: sql`SELECT count(*) AS n FROM segment_versions`,
  },
  {
    id: 'createLayer',
    path: '/api/layers',
    body: (word) => ({ slug: word }),
    effects: sql`SELECT count(*) AS n FROM layers`,
  },
  {
    id: 'createKey',
    path: '/api/keys',
    body: (word) => ({ name: word, role: 'viewer' }),
    effects: sql`SELECT count(*) AS n FROM api_keys`,
  },
  {
    id: 'createFeed',
    path: '/api/feeds',
    body: (word) => ({ name: word, segments: ['Target'] }),
    effects: sql`SELECT count(*) AS n FROM feeds`,
  },
  {
    id: 'createWebhook',
    path: '/api/webhooks',
    body: (word) => ({ url: `https://receiver.invalid/${word}`, feed: 1 }),
    effects: sql`SELECT count(*) AS n FROM webhooks`,
  },
  // Its effect is the link alone, which is another one each millisecond.
  { id: 'createReport', path: '/api/reports', body: () => ({ month: '2026-11' }), effects: sql`SELECT 0 AS n` },
  {
    id: 'importMembers',
    path: '/api/segments/Target/import?unknown=create&mode=add',
    otherPath: '/api/segments/Target/import?unknown=create&mode=replace',
    type: 'text/csv',
    body: (word) => `external_id\n${word}\n`,
    effects: sql`SELECT count(*) AS n FROM jobs WHERE NOT internal`,
  },
  {
    id: 'importUsers',
    path: '/api/users/import?dry_run=true',
    otherPath: '/api/users/import?dry_run=false',
    type: 'application/x-ndjson',
    body: (word) => `{"external_id":"${word}"}\n`,
    effects: sql`SELECT count(*) AS n FROM jobs WHERE NOT internal`,
  },
];
const each = CALLS.map((call) => [call.id, call] as const);

function post(
  { path, type }: Pick<Creating, 'path' | 'type'>,
  key: string | undefined,
  body: unknown,
  { token = service.admin, ...options }: CallOptions & { of?: Service } = {},
): Promise<Answer> {
  return (options.of ?? service).call('POST', path, {
    token,
    body,
    headers: { ...(type && { 'content-type': type }), ...(key !== undefined && { 'idempotency-key': key }) },
  });
}

async function count({ effects }: Creating): Promise<number> {
  return (await service.db.query<{ n: number }>(effects))[0]?.n ?? -1;
}

it('every call that creates takes a key', () => {
  const creating = endpoints.filter(({ id, method }) => method === 'POST' && /^(create|import)/.test(id));
  expect(creating.map(({ id }) => id).sort()).toEqual(CALLS.map(({ id }) => id).sort());
  for (const { headers, problems } of creating) {
    expect(Object.keys(headers?.properties ?? {})).toContain('idempotency-key');
    expect(problems).toEqual(expect.arrayContaining(['idempotency_in_flight', 'idempotency_key_reused']));
  }
});

describe.each(each)('%s', (_, creating) => {
  const { path, otherPath, type, body } = creating;

  it('is done once, and answered byte for byte as the first time', async () => {
    const [key, asked, before] = [randomUUID(), body(fresh()), await count(creating)];
    const first = await post(creating, key, asked);
    expect(first.status).toBeOneOf([200, 201, 202]);
    expect(first.headers['idempotent-replayed']).toBeUndefined();
    const effects = (await count(creating)) - before;
    for (let i = 0; i < 3; i++) {
      const again = await post(creating, key, asked);
      expect([again.status, again.text, again.headers['idempotent-replayed']]).toEqual([
        first.status,
        first.text,
        'true',
      ]);
      expect(again.headers['content-type']).toBe(first.headers['content-type']);
      expect(again.headers['cache-control']).toBe(first.headers['cache-control']);
    }
    expect((await count(creating)) - before).toBe(effects);
  });

  it('another body, path or query under the same key is 422, and nothing happens', async () => {
    const [key, asked] = [randomUUID(), body(fresh())];
    const first = await post(creating, key, asked);
    const before = await count(creating);
    const other = creating.id === 'createReport' ? { month: '2026-10' } : body(fresh());
    const refusals = [await post(creating, key, other)];
    if (otherPath) refusals.push(await post({ path: otherPath, ...(type && { type }) }, key, asked));
    for (const elsewhere of CALLS.filter(({ id }) => id !== creating.id)) {
      refusals.push(await post(elsewhere, key, elsewhere.body(fresh())));
    }
    for (const { status, body: problem } of refusals) {
      expect([status, problem.code]).toEqual([422, 'idempotency_key_reused']);
    }
    expect(await count(creating)).toBe(before);
    expect((await post(creating, key, asked)).text).toBe(first.text);
  });

  it('twenty at once have one effect; each of the others is told 409, or the same answer', async () => {
    const [key, asked, before] = [randomUUID(), body(fresh()), await count(creating)];
    const single = await post(creating, randomUUID(), body(fresh()));
    expect(single.status).toBeLessThan(300);
    const each = (await count(creating)) - before;
    const answers = await Promise.all(Array.from({ length: 20 }, () => patiently(() => post(creating, key, asked))));
    const done = answers.filter(({ status }) => status < 300);
    const busy = answers.filter(
      ({ status, body: problem }) => status === 409 && problem.code === 'idempotency_in_flight',
    );
    expect(done.length + busy.length).toBe(20);
    expect(new Set(done.map(({ text }) => text)).size).toBe(1);
    expect(done.filter(({ headers }) => headers['idempotent-replayed'] === undefined)).toHaveLength(1);
    for (const { headers } of busy) expect(headers['retry-after']).toBe('1');
    expect((await count(creating)) - before).toBe(2 * each);
    expect((await post(creating, key, asked)).text).toBe(done[0]?.text);
  });

  it('a day later it is a new call', async () => {
    const key = randomUUID();
    const before = await count(creating);
    expect((await post(creating, key, body(fresh()))).status).toBeLessThan(300);
    await service.db.write(sql`UPDATE idempotent_calls SET created_at = created_at - interval '23 hours 59 minutes'`);
    // A report has no word in it: its body is the same one again.
    expect((await post(creating, key, body(fresh()))).status).toBe(creating.id === 'createReport' ? 201 : 422);
    await service.db.write(sql`UPDATE idempotent_calls SET created_at = created_at - interval '1 minute'`);
    const later = await post(creating, key, body(fresh()));
    expect([later.status < 300, later.headers['idempotent-replayed']]).toEqual([true, undefined]);
    if (creating.id !== 'createReport') expect(await count(creating)).toBeGreaterThan(before + 1);
  });

  it('a call that is refused leaves the key free', async () => {
    const key = randomUUID();
    const refused = await post(creating, key, type ? body(fresh()) : { nonsense: true }, { token: 'garbage' });
    expect(refused.status).toBe(401);
    expect((await post({ path, type: 'text/plain' }, key, 'x')).status).toBe(415);
    const done = await post(creating, key, body(fresh()));
    expect([done.status < 300, done.headers['idempotent-replayed']]).toEqual([true, undefined]);
  });

  it.each(['', ' ', 'x'.repeat(256), 'naïve', 'tab\there', 'del\x7f', 'é'])('a key like %j is 400', async (key) => {
    const before = await count(creating);
    const { status, body: problem } = await post(creating, key, body(fresh()));
    expect([status, problem.code, problem.errors[0].path]).toEqual([400, 'invalid', '/headers/idempotency-key']);
    if (key.trim() !== '') expect(problem.detail).not.toContain(key);
    expect(await count(creating)).toBe(before);
  });

  it.each(['!', '~', 'a b', '"quoted"', '{"json":1}', 'x'.repeat(255)])('a key like %j will do', async (key) => {
    await service.db.write(sql`DELETE FROM idempotent_calls`);
    const asked = body(fresh());
    const first = await post(creating, key, asked);
    expect(first.status).toBeLessThan(300);
    expect((await post(creating, key, asked)).text).toBe(first.text);
  });
});

describe('the same key', () => {
  it('is a key of its own for each caller', async () => {
    const key = randomUUID();
    const path = '/api/users';
    const api = await service.call('POST', '/api/keys', { token: service.admin, body: { name: 'k', role: 'editor' } });
    const ids = [];
    for (const token of [service.admin, editor.token, api.body.key]) {
      ids.push((await post({ path }, key, { name: 'x' }, { token })).body.id);
    }
    expect(new Set(ids).size).toBe(3);
  });

  it('of strangers in evaluation is one and the same', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    const first = await service.call('POST', '/api/segments', { body: { slug: 'Strange' }, headers });
    const again = await service.call('POST', '/api/segments', { body: { slug: 'Strange' }, headers });
    expect([again.status, again.text, again.headers['idempotent-replayed']]).toEqual([200, first.text, 'true']);
    const other = await service.call('POST', '/api/segments', { body: { slug: 'Stranger' }, headers });
    expect(other.status).toBe(422);
  });

  it('covers the same JSON, however it is written', async () => {
    const key = randomUUID();
    const first = await post({ path: '/api/users' }, key, '{"name":"n","attributes":{"a":1,"b":[{"x":1,"y":2}]}}');
    const again = await post(
      { path: '/api/users' },
      key,
      '{ "attributes": {"b":[{"y":2,"x":1.0}],"a":1e0}, "name":"\\u006e" }',
    );
    expect([again.status, again.text]).toEqual([201, first.text]);
    const other = await post({ path: '/api/users' }, key, '{"name":"n","attributes":{"a":1,"b":[{"x":2,"y":1}]}}');
    expect(other.status).toBe(422);
  });

  it('is free again when the call was in conflict, and conflicts with nothing when it is repeated', async () => {
    const slug = fresh();
    const [first, second] = [randomUUID(), randomUUID()];
    expect((await post({ path: '/api/segments' }, first, { slug })).status).toBe(200);
    expect((await post({ path: '/api/segments' }, second, { slug })).body.code).toBe('slug_taken');
    expect((await post({ path: '/api/segments' }, second, { slug: fresh() })).status).toBe(200);
    expect((await post({ path: '/api/segments' }, first, { slug })).status).toBe(200);
  });

  it('does not admit a caller who may not call any more', async () => {
    const someone = await service.account('demoted', 'editor');
    const key = randomUUID();
    expect((await post({ path: '/api/users' }, key, {}, { token: someone.token })).status).toBe(201);
    await service.call('PATCH', `/api/accounts/${someone.id}`, { token: service.admin, body: { role: 'viewer' } });
    expect((await post({ path: '/api/users' }, key, {}, { token: someone.token })).status).toBe(403);
  });

  it('reports a malformed file by the same job', async () => {
    const call = { path: '/api/users/import', type: 'text/csv' };
    const key = randomUUID();
    const first = await post(call, key, 'nonsense\n1\n');
    expect(first.status).toBe(202);
    expect((await post(call, key, 'nonsense\n1\n')).text).toBe(first.text);
    const job = await service.call('GET', `/api/jobs/${first.body.job}`, { token: service.admin });
    expect(job.body.state).toBe('failed');
  });
});

describe('effect and answer are kept together or not at all', () => {
  it('when the answer cannot be kept', async () => {
    // Imports of earlier tests may still create users.
    await expect
      .poll(() => service.db.query(sql`SELECT FROM jobs WHERE finished_at IS NULL AND NOT internal`))
      .toEqual([]);
    await service.db.query(sql`ALTER TABLE idempotent_calls ADD CONSTRAINT shut CHECK (actor = 'x') NOT VALID`);
    try {
      for (const creating of CALLS) {
        const before = await count(creating);
        const { status } = await post(creating, randomUUID(), creating.body(fresh()));
        expect([creating.id, status, await count(creating)]).toEqual([creating.id, 500, before]);
      }
    } finally {
      await service.db.query(sql`ALTER TABLE idempotent_calls DROP CONSTRAINT shut`);
    }
  });

  it('when connections are cut at any moment, callers who repeat until they are answered make one each', async () => {
    const saw = async () =>
      (await service.db.query<{ n: number }>(sql`SELECT count(*) AS n FROM users WHERE name = 'cut'`))[0]?.n;
    const killer = new pg.Client({ connectionString: service.url });
    await killer.connect();
    let isOver = false;
    // A call takes several statements on workers: cut as often as on one server, none would ever get through.
    const everyMs = service.db.isDistributed ? 50 : 5;
    // Without an end to them, no call gets through where calls take longer than the time between two cuts.
    const maxCuts = 100;
    let cuts = 0;
    const statuses = new Map<number, number>();
    const killing = (async () => {
      while (!isOver && cuts < maxCuts) {
        const cut = await killer.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE application_name = 'kohort' AND datname = current_database() AND xact_start IS NOT NULL
           ORDER BY random() LIMIT 1`,
        );
        cuts += cut.rowCount ?? 0;
        await sleep(everyMs);
      }
    })();
    const asking = Promise.all(
      Array.from({ length: 40 }, async () => {
        const key = randomUUID();
        for (let i = 0; i < 200; i++) {
          const { status, body } = await post({ path: '/api/users' }, key, { name: 'cut' });
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          if (status === 201) return body.id;
          await sleep(Math.random() * 20);
        }
        throw new Error('never answered');
      }),
    );
    const ids = await asking.finally(async () => {
      isOver = true;
      await killing;
      await killer.end();
    });
    expect([...statuses.keys()].filter((status) => ![201, 409, 503].includes(status))).toEqual([]);
    expect(statuses.get(503)).toBeGreaterThan(0);
    expect(new Set(ids).size).toBe(40);
    expect(await saw()).toBe(40);
  });

  it('a process that died in the middle holds no key', async () => {
    const key = randomUUID();
    const body = { name: fresh() };
    expect((await post({ path: '/api/users' }, key, body)).status).toBe(201);
    const [row] = await service.db.write<{ key_hash: Buffer }>(sql`
      DELETE FROM idempotent_calls WHERE created_at = (SELECT max(created_at) FROM idempotent_calls) RETURNING key_hash`);
    const other = new pg.Client({ connectionString: service.url });
    other.on('error', () => undefined);
    await other.connect();
    const { rows } = await other.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await other.query('BEGIN');
    await other.query('SELECT pg_try_advisory_xact_lock($1)', [String(row?.key_hash.readBigInt64BE())]);
    const busy = await post({ path: '/api/users' }, key, body);
    expect([busy.status, busy.body.code, busy.headers['retry-after']]).toEqual([409, 'idempotency_in_flight', '1']);
    await service.db.query(sql`SELECT pg_terminate_backend(${rows[0]?.pid}::int)`);
    await expect.poll(async () => (await post({ path: '/api/users' }, key, body)).status).toBe(201);
  });
});

describe('what the database holds', () => {
  it('shows neither the key nor the answer, nor the secret that is in it', async () => {
    const key = `canary-${randomUUID()}`;
    const { body } = await post({ path: '/api/keys' }, key, { name: 'canary', role: 'viewer' });
    const [{ dump } = { dump: '' }] = await service.db.query<{ dump: string }>(sql`
      SELECT string_agg(concat_ws(' ', actor, encode(key_hash, 'escape'), encode(request_hash, 'escape'), encode(answer, 'escape')), ' ') AS dump
      FROM idempotent_calls`);
    expect(dump.length).toBeGreaterThan(100);
    for (const secret of [key, body.key, body.key.slice(7), '"key"', 'kohort_']) expect(dump).not.toContain(secret);
  });

  it('under another secret of the service reveals nothing, and nothing is done twice', async () => {
    const key = randomUUID();
    const first = await post({ path: '/api/users' }, key, { name: 'once' });
    expect(first.status).toBe(201);
    const rotated = await startService({
      database: service.url,
      env: { JWT_SECRET: 'another secret of more than 32 bytes, drawn later' },
    });
    try {
      const again = await post({ path: '/api/users' }, key, { name: 'once' }, { token: rotated.admin, of: rotated });
      expect([again.status, again.body.code]).toEqual([422, 'idempotency_key_reused']);
    } finally {
      await rotated.stop();
    }
  });

  it('is swept when its day is over, and only then', async () => {
    const rows = async () =>
      (await service.db.query<{ n: number }>(sql`SELECT count(*) AS n FROM idempotent_calls`))[0]?.n;
    await service.db.write(sql`UPDATE idempotent_calls SET created_at = created_at - interval '25 hours'`);
    const key = randomUUID();
    const first = await post({ path: '/api/users' }, key, { name: 'stays' });
    await sweepIdempotency(service.db);
    expect(await rows()).toBe(1);
    expect((await post({ path: '/api/users' }, key, { name: 'stays' })).text).toBe(first.text);
  });

  it('grows by nothing for calls without a key', async () => {
    const [before] = await service.db.query<{ n: number }>(sql`SELECT count(*) AS n FROM idempotent_calls`);
    for (const creating of CALLS) {
      expect((await post(creating, undefined, creating.body(fresh()))).status).toBeLessThan(300);
    }
    expect(await service.db.query(sql`SELECT count(*) AS n FROM idempotent_calls`)).toEqual([before]);
  });
});

it('more calls at once than there are connections do not wait for each other', async () => {
  const asked = { month: '2026-11', user: String(editor.id), segment: 'Target' };
  const report = () => post({ path: '/api/reports' }, randomUUID(), asked);
  const answers = await Promise.all(
    // On Citus each takes several round trips, so that the last ones may wait for longer than calls may.
    Array.from({ length: 60 }, () => (service.db.isDistributed ? patiently(report) : report())),
  );
  expect(answers.map(({ status }) => status)).toEqual(Array(60).fill(201));
});
