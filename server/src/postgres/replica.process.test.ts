import { type Cluster, createCluster } from '@kohort/testkit/cluster.ts';
import { eventually, untilPasses } from '@kohort/testkit/eventually.ts';
import { endAll } from '@kohort/testkit/processes.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Client, clientOf } from '../../test/client.ts';
import { type Service, startService } from '../../test/service.ts';
import { startSwitch } from '../../test/switch.ts';
import { Database } from './database.ts';
import { type Fallback, Replica, type ReplicaLimits } from './replica.ts';

let primary: Cluster;
let standby: Cluster;
beforeAll(async () => {
  primary = await createCluster();
  standby = await primary.createStandby();
});
afterAll(() => endAll());

/** Until `resume`, or the end of the test. */
async function pause(): Promise<void> {
  onTestFinished(resume);
  await standby.connected(async (pg) => void (await pg.query('SELECT pg_wal_replay_pause()')));
}
const resume = () => standby.connected(async (pg) => void (await pg.query('SELECT pg_wal_replay_resume()')));
/** Has it receive no more: what is replayed at a promotion is all that was received. */
async function cutOff(): Promise<void> {
  await standby.connected(async (pg) => {
    await pg.query("ALTER SYSTEM SET primary_conninfo = ''");
    await pg.query('SELECT pg_reload_conf()');
    await eventually(async () => (await pg.query('SELECT FROM pg_stat_wal_receiver')).rowCount === 0);
  });
}
const eventual = { consistency: 'eventual' };
const strong = { consistency: 'strong' };

async function counted(service: Service): Promise<Record<string, number>> {
  const { text } = await service.call('GET', '/metrics');
  const counts: Record<string, number> = {};
  for (const [, by, reason, count] of text.matchAll(
    /^kohort_replica_reads_total\{answered_by="(\w+)",reason="(\w*)"\} (\d+)/gm,
  )) {
    counts[reason || (by ?? '')] = Number(count);
  }
  return counts;
}

/** Who answers the reads that `work` makes. */
async function answerers(service: Service, work: () => Promise<unknown>): Promise<string[]> {
  const before = await counted(service);
  await work();
  const after = await counted(service);
  return Object.keys(after).filter((name) => after[name] !== before[name]);
}

describe('a service with a replica', () => {
  let service: Service;
  let client: Client;
  let other: Client;
  let otherService: Service;
  let user: number;

  const count = async (slug: string, headers?: Record<string, string>) =>
    (await client.call('GET', `/api/segments/${slug}/count`, undefined, headers)).body.count;
  const segments = async (headers?: Record<string, string>) =>
    (await client.call('GET', `/api/users/${user}/segments`, undefined, headers)).body.segments;
  /** The primary answers while the replica has not caught up. */
  const untilAnsweredThere = (ask: () => Promise<unknown>) =>
    untilPasses(async () => expect(await answerers(service, ask)).toEqual(['replica']));
  const isUsed = () => eventually(async () => (await answerers(service, () => count('list'))).includes('replica'));

  beforeAll(async () => {
    service = await startService({ database: primary.url, env: { READ_DATABASE_URL: standby.url } });
    otherService = await startService({ database: primary.url });
    client = clientOf(service);
    other = clientOf(otherService);
    await client.segment('list');
    await client.segment('rule', { condition: { n: { $gte: 2 } } });
    user = await client.user({ external_id: 'ann', attributes: { n: 2 } });
    await client.add(user, 'list');
    await isUsed();
  });
  afterAll(async () => {
    await otherService.stop();
    await service.stop();
  });

  it.each([
    ['GET', '/api/segments/rule/count'],
    ['GET', '/api/segments/rule/users'],
    ['POST', '/api/segments/preview', { percentage: 50 }],
    ['POST', '/api/segments/rule/preview', { condition: { n: 3 } }],
    ['POST', '/api/segments/overlap', { segments: ['list', 'rule'] }],
    ['GET', '/api/segments/list/sizes?points=2'],
    ['GET', '/api/segments/rule/export'],
  ] as [string, string, object?][])('answers %s %s there, as the primary does', async (method, path, body) => {
    const answers: string[] = [];
    const ask = async (headers?: Record<string, string>) => {
      answers.push((await client.call(method, path, body, headers)).text.replaceAll(/"at":"[^"]*"/g, ''));
    };
    await untilAnsweredThere(() => ask());
    expect(await answerers(service, () => ask(strong))).toEqual([]);
    expect(new Set(answers).size).toBe(1);
  });

  it('answers reports there, with what had expired and was not swept yet', async () => {
    const { url } = (
      await client.call('POST', '/api/reports', { from: '2020-01-01T00:00:00Z', to: '2099-01-01T00:00:00Z' })
    ).body;
    const { pathname } = new URL(url);
    await untilAnsweredThere(() => service.call('GET', pathname));
    expect((await service.call('GET', pathname)).text).toMatch(/list,add/);
  });

  it.each([
    ['GET', () => `/api/users/${user}/segments`],
    ['GET', () => `/api/users/ext:ann/segments/rule`],
    ['GET', () => `/api/users/${user}/memberships`],
    ['POST', () => '/api/resolve'],
  ])('answers about one user there only if asked to: %s', async (method, path) => {
    const body = method === 'POST' ? { users: [String(user)] } : undefined;
    const ask = (headers?: Record<string, string>) => client.call(method, path(), body, headers);
    expect(await answerers(service, () => ask())).toEqual([]);
    expect(await answerers(service, () => ask(strong))).toEqual([]);
    await untilAnsweredThere(() => ask(eventual));
    expect((await ask(eventual)).text).toBe((await ask()).text);
  });

  it('sees each write of its own at once, while others write as well', async () => {
    for (let i = 0; i < 30; i++) {
      const isAdd = i % 2 === 1;
      const noise = Promise.all([1, 2, 3].map((n) => other.user({ attributes: { n } })));
      await (isAdd ? client.add(user, 'list') : client.remove(user, 'list'));
      expect([await count('list'), await segments(eventual)]).toEqual(isAdd ? [1, ['list', 'rule']] : [0, ['rule']]);
      await noise;
    }
  });

  it('has the primary answer while the replica is behind what it wrote', async () => {
    await pause();
    await client.remove(user, 'list');
    expect(await answerers(service, async () => expect(await count('list')).toBe(0))).toEqual(['behind']);
    expect(await answerers(service, async () => expect(await segments(eventual)).toEqual(['rule']))).toEqual([
      'behind',
    ]);
    await resume();
    await client.add(user, 'list');
    await isUsed();
  });

  it('misses what another instance wrote a moment ago only in eventual reads', async () => {
    await segments(eventual);
    await pause();
    await other.remove(user, 'list');
    expect(await count('list')).toBe(0);
    expect(await count('list', strong)).toBe(0);
    expect(await segments()).toEqual(['rule']);
    expect(await segments(strong)).toEqual(['rule']);
    expect(await segments(eventual)).toEqual(['list', 'rule']);
    await resume();
    await other.add(user, 'list');
  });

  it('refuses a consistency that it does not know', async () => {
    for (const path of [`/api/users/${user}/segments`, '/api/segments/list/count', '/api/segments/list/export']) {
      const { status, body } = await client.call('GET', path, undefined, { consistency: 'stong' });
      expect([status, body.code]).toEqual([400, 'invalid']);
    }
  });

  it('has the primary answer while the replica is away, and uses it again afterwards', async () => {
    await standby.kill();
    for (const headers of [undefined, eventual]) expect(await count('list', headers)).toBe(1);
    expect(await segments(eventual)).toEqual(['list', 'rule']);
    expect((await service.call('GET', '/readyz')).status).toBe(200);
    await standby.start();
    await isUsed();
  });
});

describe('the replica', () => {
  const options = { maxConnections: 4, statementTimeout: 10_000, onError: () => undefined };

  async function withReplica(
    limits: Partial<ReplicaLimits>,
    work: (replica: Replica, primaryDb: Database, answered: ('replica' | Fallback)[]) => Promise<void>,
    url = standby.url,
  ): Promise<void> {
    const [primaryDb, replicaDb] = [new Database(options), new Database(options)];
    const answered: ('replica' | Fallback)[] = [];
    const observe = (by: 'replica' | Fallback) => void answered.push(by);
    const replica = new Replica({ primary: primaryDb, replica: replicaDb, seesAllWrites: true, limits, observe });
    await primaryDb.start(primary.url);
    replica.start(url, { isPooled: false });
    await eventually(() => replicaDb.available);
    try {
      await work(replica, primaryDb, answered);
    } finally {
      await replica.close();
      await primaryDb.close();
    }
  }
  const who = (replica: Replica, consistency: 'usual' | 'eventual') =>
    replica.read(
      consistency,
      async () => 'replica',
      async () => 'primary',
    );

  it('answers no eventual read once it is older than the limit', async () => {
    const limits = { maxAgeMs: 300, catchUpMs: 20, sampleEveryMs: 20 };
    await withReplica(limits, async (replica, db) => {
      await eventually(async () => (await who(replica, 'eventual')) === 'replica');
      await pause();
      // Another instance did it: this one learns of it from the primary's log alone.
      await primary.connected(
        async (pg) => void (await pg.query('SELECT pg_logical_emit_message(false, $1, $1)', ['x'])),
      );
      await eventually(async () => (await who(replica, 'eventual')) === 'primary');
      // Sampled on its own, so it may be of a moment before that read.
      await eventually(() => replica.ageSeconds > 0.3);
      await resume();
      await eventually(async () => (await who(replica, 'eventual')) === 'replica');
      expect(db.available).toBe(true);
    });
  });

  it('has a read that fails there answered by the primary, unless the question is at fault', async () => {
    await withReplica({}, async (replica, db, answered) => {
      await eventually(async () => (await who(replica, 'usual')) === 'replica');
      const cancelled = sql`DO $$ BEGIN RAISE EXCEPTION 'conflict with recovery' USING ERRCODE = '40001'; END $$`;
      const failing = () => db.query(cancelled).then(() => 'replica');
      expect(await replica.read('usual', failing, async () => 'primary')).toBe('primary');
      expect(answered.at(-1)).toBe('failed');
      const wrong = () => db.query(sql`SELECT 1 / 0`).then(() => 'replica');
      await expect(replica.read('usual', wrong, async () => 'primary')).rejects.toThrow('division by zero');
    });
  });

  it('is none when it is the primary itself', async () => {
    await withReplica(
      {},
      async (replica, _, answered) => {
        expect(await who(replica, 'usual')).toBe('primary');
        expect(answered).toEqual(['promoted']);
      },
      primary.urlOf('postgres'),
    );
  });
});

describe('after a failover to a replica that lacked the last changes', () => {
  it('reads go on at once, with the definitions and attributes that are left, and new ones under the same revisions', async () => {
    const door = await startSwitch(primary.port);
    const url = new URL(primary.url);
    url.port = String(door.port);
    const service = await startService({ database: url.href, env: { READ_DATABASE_URL: standby.url } });
    const client = clientOf(service);
    const user = await client.user({ attributes: { plan: 'free' } });
    await client.segment('kept', { condition: { plan: 'free' } });
    expect(await client.segmentsOf(user)).toContain('kept');
    await eventually(async () =>
      (await answerers(service, () => client.get('/api/segments/kept/count'))).includes('replica'),
    );

    await cutOff();
    await client.segment('lost', { condition: { plan: 'pro' } });
    await client.call('PATCH', `/api/users/${user}`, { attributes: { plan: 'pro' } });
    expect(await client.segmentsOf(user)).toEqual(['lost']);
    await primary.kill();
    await standby.promote();
    const successor = await startService({ database: standby.url });
    const onSuccessor = clientOf(successor);
    expect(await onSuccessor.segmentsOf(user)).toEqual(['kept']);
    await onSuccessor.segment('instead', { condition: { plan: 'team' } });
    await onSuccessor.call('PATCH', `/api/users/${user}`, { attributes: { plan: 'team' } });
    door.leadTo(standby.port);

    await eventually(async () => (await client.call('GET', `/api/users/${user}/segments`)).status === 200);
    expect(await client.segmentsOf(user)).toEqual(['instead']);
    const { body } = await client.call('GET', '/api/segments/instead/count');
    expect(body).toEqual({ count: 1 });
    expect((await client.call('GET', '/api/segments/lost/count')).status).toBe(404);
    await successor.stop();
    await service.stop();
    door.close();
  });
});
