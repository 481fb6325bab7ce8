import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { eventually, untilPasses } from '@kohort/testkit/eventually.ts';
import pg from 'pg';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { patientConnections } from '../../test/config.ts';
import { onBehalfOf } from '../concurrency/party.ts';
import { Database } from './database.ts';
import { CommitUnknown, DatabaseAway, isConnectionLost } from './errors.ts';
import { retrying } from './transaction.ts';

let test: TestDatabase;
let db: Database;
let direct: pg.Client;
const complaints: string[] = [];
const options = {
  ...patientConnections,
  maxConnections: 4,
  statementTimeout: 10_000,
  onError: (_: Error, what: string) => complaints.push(what),
};

beforeAll(async () => {
  test = await createDatabase({ migrated: false });
  direct = new pg.Client(test.url);
  await direct.connect();
  await direct.query('CREATE TABLE notes (id int PRIMARY KEY, text text)');
  db = new Database(options);
  await db.start(test.url);
});
afterAll(async () => {
  await db.close();
  await direct.end();
  await test.drop();
});

const failure = (work: Promise<unknown>) => work.then(() => undefined).catch((error: unknown) => error);
const ours = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'kohort%'";
const terminateAll = () => direct.query(`SELECT pg_terminate_backend(pid) ${ours}`);
/** The backends whose statement ends in this sleep. */
const sleepingFor = (seconds: number) =>
  `FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(${seconds})' AND pid <> pg_backend_pid()
    AND state = 'active'`;
const works = async () => (await db.query(sql`SELECT 1`)).length === 1;

describe('a named statement', () => {
  const echo = {
    name: 'echo',
    text: `SELECT a.text, a.number, a.flag, jsonb_build_object('n', a.number), 1.5::numeric
      FROM unnest($1::text[], $2::bigint[], $3::boolean[]) AS a(text, number, flag)`,
  };
  const texts = ['', 'a"b\\', '{,NULL}', 'é', null];
  const values = [texts, [1, 2, 3, 4, null], [true, false, true, false, null]];
  const echoed = texts.map((text, i) =>
    text === null ? [null, null, null, { n: null }, 1.5] : [text, i + 1, i % 2 === 0, { n: i + 1 }, 1.5],
  );

  it('returns the same tuples however often it is sent, on its own and in a transaction', async () => {
    await Promise.all(Array.from({ length: 8 }, () => db.rows({ ...echo, values })));
    for (let i = 0; i < 3; i++) {
      expect(await db.rows({ ...echo, values })).toEqual(echoed);
      expect(await db.transaction((tx) => tx.rows({ ...echo, values }))).toEqual(echoed);
    }
    expect(await db.rows({ ...echo, values: [[], [], null] })).toEqual([]);
  });

  it('is prepared once for each connection', async () => {
    const count = {
      name: 'count',
      text: "SELECT count(*) FROM pg_prepared_statements WHERE name = 'count'",
      values: [],
    };
    const counts = await Promise.all(Array.from({ length: 20 }, () => db.rows(count)));
    expect(new Set(counts.flat(2))).toEqual(new Set([1]));
  });

  it('works again after it failed, the first time and later', async () => {
    const divide = { name: 'divide', text: 'SELECT 10 / $1::int' };
    for (let i = 0; i < 8; i++) {
      for (const divisor of ['0', 'no number'])
        await expect(db.rows({ ...divide, values: [divisor] })).rejects.toThrow();
      expect(await db.rows({ ...divide, values: [5] })).toEqual([[2]]);
    }
    await expect(db.rows({ name: 'wrong', text: 'SELECT nothing', values: [] })).rejects.toMatchObject({
      code: '42703',
    });
    expect(await works()).toBe(true);
  });

  it('refuses an object as a parameter before it is sent', async () => {
    await expect(db.rows({ ...echo, values: [[{}], [], null] })).rejects.toThrow(TypeError);
    expect(await db.rows({ ...echo, values })).toEqual(echoed);
  });

  it('ends with its connection', async () => {
    const sleeping = failure(db.rows({ name: 'sleep', text: 'SELECT pg_sleep(61)', values: [] }));
    await eventually(async () => (await direct.query(`SELECT ${sleepingFor(61)}`)).rowCount === 1);
    await direct.query(`SELECT pg_terminate_backend(pid) ${sleepingFor(61)}`);
    expect(isConnectionLost(await sleeping)).toBe(true);
    expect(await db.rows({ ...echo, values })).toEqual(echoed);
  });
});

describe('connections', () => {
  it('serve callers in turn, however many statements one of them has', async () => {
    const order: string[] = [];
    const sleeping = (party: string) =>
      onBehalfOf(party, () => db.query(sql`SELECT pg_sleep(0.002)`)).then(() => order.push(party));
    const flood = Array.from({ length: 100 }, () => sleeping('greedy'));
    await Promise.all([sleeping('other'), sleeping('other')]);
    expect(order.filter((party) => party === 'greedy').length).toBeLessThan(20);
    await Promise.all(flood);
  });

  it('are left to the fast path, however many other statements there are', async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const holding = Array.from({ length: 3 }, () => db.transaction(() => held));
    const late = db.query(sql`SELECT 1`);
    try {
      expect(await db.rows({ name: 'fast', text: 'SELECT 1', values: [] })).toEqual([[1]]);
      expect(db.connections).toMatchObject({ waiting: 1 });
    } finally {
      release();
    }
    await Promise.all(holding);
    expect(await late).toHaveLength(1);
    expect(db.connections).toMatchObject({ waiting: 0 });
  });

  it('come back to the others after failures too', async () => {
    for (let i = 0; i < 8; i++) await failure(db.query(sql`SELECT 1/0`));
    for (let i = 0; i < 8; i++) await failure(db.transaction(() => Promise.reject(new Error('no'))));
    const [before, { idle }] = [complaints.length, db.connections];
    await terminateAll();
    await eventually(() => complaints.length - before >= idle);
    expect(await Promise.all(Array.from({ length: 12 }, works))).toEqual(Array(12).fill(true));
  });
});

describe('a transaction', () => {
  it('that fails writes nothing, and gives its connection back', async () => {
    for (let i = 0; i < 10; i++) {
      const error = await failure(
        db.transaction(async (tx) => {
          await tx.write(sql`INSERT INTO notes VALUES (${i}, 'x')`);
          throw new Error('changed my mind');
        }),
      );
      expect(error).toMatchObject({ message: 'changed my mind' });
    }
    expect(await db.query(sql`SELECT FROM notes`)).toHaveLength(0);
    expect(db.connections).toMatchObject({ waiting: 0 });
  });

  it('is not acknowledged when PostgreSQL rolled it back at commit', async () => {
    const error = await failure(
      db.transaction(async (tx) => {
        await tx.write(sql`INSERT INTO notes VALUES (1, 'x')`);
        await tx.query(sql`SELECT 1/0`).catch(() => undefined);
      }),
    );
    expect(error).toMatchObject({ message: expect.stringMatching(/rolled back/) });
    expect(await db.query(sql`SELECT FROM notes`)).toHaveLength(0);
  });

  it('that meets a deadlock is tried again, whole, and both happen', async () => {
    await direct.query("INSERT INTO notes VALUES (11, ''), (12, '') ON CONFLICT DO NOTHING");
    let attempts = 0;
    const bothHoldOne = Promise.withResolvers<void>();
    const cross = (first: number, second: number) =>
      db.transaction(async (tx) => {
        await tx.write(sql`UPDATE notes SET text = text || 'x' WHERE id = ${first}`);
        if (++attempts === 2) bothHoldOne.resolve();
        await bothHoldOne.promise;
        await tx.write(sql`UPDATE notes SET text = text || 'x' WHERE id = ${second}`);
      });
    await Promise.all([cross(11, 12), cross(12, 11)]);
    expect(attempts).toBeGreaterThan(2);
    expect(await db.query(sql`SELECT text FROM notes WHERE id IN (11, 12)`)).toEqual([{ text: 'xx' }, { text: 'xx' }]);
  });

  it('is tried four times at most', async () => {
    let attempts = 0;
    const error = await failure(
      retrying(() => {
        attempts++;
        return db.query(sql`DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$`);
      }),
    );
    expect(error).toMatchObject({ code: '40001' });
    expect(attempts).toBe(4);
  });

  it('whose connection is lost at commit is unknown, not failed', async () => {
    await direct.query(`
      CREATE TABLE IF NOT EXISTS slow (id int);
      CREATE OR REPLACE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()`);
    let pid = 0;
    const lost = failure(
      db.transaction(async (tx) => {
        const [row] = await tx.query<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`);
        pid = row?.pid ?? 0;
        await tx.write(sql`INSERT INTO slow VALUES (1)`);
      }),
    );
    await eventually(
      async () =>
        (await direct.query("SELECT FROM pg_stat_activity WHERE pid = $1 AND query = 'COMMIT'", [pid])).rowCount === 1,
    );
    await direct.query('SELECT pg_terminate_backend($1)', [pid]);
    expect(await lost).toBeInstanceOf(CommitUnknown);
    expect(await works()).toBe(true);
  });

  it('that only reads is failed when its connection is lost at commit: nothing is unknown about it', async () => {
    const error = await failure(
      db.transaction(
        async (tx) => {
          const [row] = await tx.query<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`);
          await direct.query('SELECT pg_terminate_backend($1)', [row?.pid]);
        },
        { readOnly: true },
      ),
    );
    expect(error).not.toBeInstanceOf(CommitUnknown);
    expect(isConnectionLost(error)).toBe(true);
  });

  it('whose connection is lost before is failed', async () => {
    const error = await failure(
      db.transaction(async (tx) => {
        await tx.write(sql`INSERT INTO notes VALUES (99, 'x')`);
        const [row] = await tx.query<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`);
        await direct.query('SELECT pg_terminate_backend($1)', [row?.pid]);
        await tx.query(sql`SELECT 1`);
      }),
    );
    expect(error).not.toBeInstanceOf(CommitUnknown);
    expect(isConnectionLost(error)).toBe(true);
    expect(await db.query(sql`SELECT FROM notes WHERE id = 99`)).toHaveLength(0);
  });

  it('of one statement is unknown when its connection is lost, where a read is only failed', async () => {
    for (const [run, isUnknown] of [
      [() => db.write(sql`UPDATE notes SET text = text FROM pg_sleep(5)`), true],
      // The text does not matter, only that the caller said that it changes nothing.
      [() => db.query(sql`SELECT 'UPDATE notes SET' FROM pg_sleep(5)`), false],
    ] as const) {
      const lost = failure(run());
      await eventually(async () => {
        const { rowCount } = await direct.query(`SELECT pg_terminate_backend(pid) ${sleepingFor(5)}`);
        return rowCount === 1;
      });
      expect((await lost) instanceof CommitUnknown).toBe(isUnknown);
    }
    expect(await works()).toBe(true);
  });

  it('can have a longer time for its statements than others', async () => {
    const short = new Database({ ...options, statementTimeout: 500 });
    await short.start(test.url);
    try {
      expect(await failure(short.query(sql`SELECT pg_sleep(60)`))).toMatchObject({ code: '57014' });
      const long = short.transaction((tx) => tx.query(sql`SELECT pg_sleep(0.6)`), { statementTimeout: 60_000 });
      expect(await long).toHaveLength(1);
      expect(await failure(short.query(sql`SELECT pg_sleep(60)`))).toMatchObject({ code: '57014' });
    } finally {
      await short.close();
    }
  });
});

describe('connections', () => {
  it('that are all terminated do not end the process, and the next call works', async () => {
    await Promise.all(Array.from({ length: 3 }, () => db.query(sql`SELECT pg_sleep(0.05)`)));
    const before = complaints.length;
    const running = failure(db.query(sql`SELECT pg_sleep(10)`));
    await eventually(async () => (await direct.query(`SELECT ${sleepingFor(10)}`)).rowCount === 1);
    const idle = db.connections.idle;
    expect(idle).toBeGreaterThan(0);
    await terminateAll();
    expect(isConnectionLost(await running)).toBe(true);
    await eventually(() => complaints.length - before >= idle);
    for (let i = 0; i < 10; i++) expect([await works(), db.available]).toEqual([true, true]);
  });

  it('that are all taken make a call wait, then fail as unavailable; it recovers by itself', async () => {
    const hasty = new Database({ ...options, statementTimeout: 120_000, connectWithinMs: 500 });
    await hasty.start(test.url);
    try {
      // The fourth is left to the fast path. They are opened beforehand, since that may take longer than a call may wait.
      await untilPasses(() => Promise.all([1, 2, 3].map(() => hasty.query(sql`SELECT pg_sleep(0.1)`))));
      const busy = Array.from({ length: 3 }, () => failure(hasty.query(sql`SELECT pg_sleep(90)`)));
      const backends = sleepingFor(90);
      await eventually(async () => (await direct.query(`SELECT ${backends}`)).rowCount === 3);
      expect(isConnectionLost(await failure(hasty.query(sql`SELECT 1`)))).toBe(true);
      expect(hasty.available).toBe(true);
      await direct.query(`SELECT pg_cancel_backend(pid) ${backends}`);
      await Promise.all(busy);
      await eventually(async () => (await hasty.query(sql`SELECT 1`)).length === 1);
    } finally {
      await hasty.close();
    }
  });

  it('of which one is stuck while the others answer do not hold a call forever', async () => {
    const short = new Database({ ...options, statementTimeout: 500 });
    await short.start(test.url);
    const [row] = await short.query<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`);
    const pid = row?.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    try {
      expect(isConnectionLost(await failure(short.query(sql`SELECT 1`)))).toBe(true);
      expect((await short.query(sql`SELECT 1`)).length).toBe(1);
    } finally {
      process.kill(pid, 'SIGCONT');
      await short.close();
    }
  });

  it('to where nothing listens fail at the start, which may be tried again', async () => {
    const countConnections = async () => (await direct.query(`SELECT ${ours}`)).rowCount ?? 0;
    const before = await countConnections();
    const lost = new Database(options);
    expect(await failure(lost.start('postgres://x:x@127.0.0.1:1/x'))).toMatchObject({ code: 'ECONNREFUSED' });
    expect(await failure(lost.query(sql`SELECT 1`))).toBeInstanceOf(DatabaseAway);
    await lost.start(test.url);
    expect(await lost.query(sql`SELECT 1`)).toHaveLength(1);
    await lost.start(test.url);
    await lost.close();
    await eventually(async () => (await countConnections()) <= before);
    expect(await failure(lost.query(sql`SELECT 1`))).toBeDefined();
  });

  it('are reported when they are lost', () => {
    expect(complaints).toContain('idle connection lost');
  });
});

describe('a COPY', () => {
  it('that is refused while it is still being sent fails, and nothing else does', async () => {
    await direct.query(`
      CREATE TABLE refusing (text text);
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no such lines'; END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON refusing FOR EACH ROW EXECUTE FUNCTION refuse()`);
    // The network takes the lines in more slowly than the server refuses them.
    const slow = await startSlowProxy(test.url);
    const far = new Database(options);
    await far.start(slow.url);
    const lines = Buffer.from('a line\n'.repeat(4_000_000));
    expect(await failure(far.copyIn('COPY refusing (text) FROM STDIN', lines))).toMatchObject({
      message: 'no such lines',
    });
    slow.hurry();
    expect(await far.query(sql`SELECT FROM refusing`)).toHaveLength(0);
    await far.close();
    slow.close();
  });
});

/** Passes on what the server says at once, and of what comes from the client a piece every few milliseconds. */
async function startSlowProxy(target: string): Promise<{ url: string; hurry: () => void; close: () => void }> {
  const { hostname, port } = new URL(target);
  let pause = 5;
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    upstream.pipe(client);
    client.on('data', (piece) => {
      upstream.write(piece);
      client.pause();
      setTimeout(() => client.resume(), pause);
    });
    client.on('close', () => upstream.destroy());
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    hurry: () => {
      pause = 0;
    },
    close: () => server.close(),
  };
}
