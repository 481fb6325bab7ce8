import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, createCluster } from '@kohort/testkit/cluster.ts';
import { demand, fieldOf, signIn } from '@kohort/testkit/http.ts';
import { ADMIN_PASSWORD } from '@kohort/testkit/service.ts';
import { startService } from '../service.ts';
import { seededRandom } from '../stage.ts';
import { type Access, type Apply, type Follower, followByEvents, followByPull, followByWebhook } from './followers.ts';
import { act, createWorld, deleteDoomed, followed, membersOf, tag } from './world.ts';

/** A running service, as far as a trial needs it. */
export interface Instance {
  readonly url: string;
  signal(name: NodeJS.Signals): boolean;
  ready(): Promise<void>;
  stop(): Promise<void>;
}

export interface TrialOptions {
  readonly seed: number;
  /** Rounds of changes, each followed by a comparison. */
  readonly rounds: number;
  readonly deedsPerRound: number;
  /** Whether to kill services and PostgreSQL meanwhile. */
  readonly kills: boolean;
  /** How long a follower may take to catch up, in milliseconds. */
  readonly withinMs?: number;
  /** A database to use, where PostgreSQL is not killed; otherwise a cluster is made. */
  readonly database?: Pick<Cluster, 'url' | 'connected'>;
  /** Starts one of the two instances. Without it each is a process of its own, which can be killed. */
  readonly start?: (databaseUrl: string, env: Readonly<Record<string, string>>) => Promise<Instance>;
  /** Breaks the service on purpose. */
  readonly sabotage?: string;
  /** A follower that is broken on purpose. */
  readonly apply?: Apply;
}

export interface Verdict {
  readonly deeds: number;
  readonly kills: number;
  readonly applied: number;
  readonly repeated: number;
  readonly comparisons: number;
  readonly causes: ReadonlyMap<string, number>;
  readonly faults: readonly string[];
}

interface Stage {
  readonly cluster: Cluster | undefined;
  readonly services: readonly Instance[];
  readonly access: Access;
  readonly followers: readonly Follower[];
}

const deedsAtOnce = 6;
/** The follower by webhook listens on loopback. */
const env = { WEBHOOK_ALLOW: '127.0.0.0/8' };

async function prepare(options: TrialOptions): Promise<Stage> {
  const random = seededRandom(options.seed);
  const cluster = options.database === undefined ? await createCluster() : undefined;
  const database = options.database ?? cluster;
  if (!database) throw new Error('no database');
  const start = options.start ?? ((databaseUrl: string) => startService({ databaseUrl, env }));
  const [one, two] = [await start(database.url, env), await start(database.url, env)];
  const token = await signIn(one.url, 'admin', ADMIN_PASSWORD);
  const access: Access = { url: () => (random() < 0.5 ? one.url : two.url), token, random };
  await createWorld(access);
  const create = async (body: object) =>
    Number(fieldOf(await demand(one.url, 'POST', '/api/feeds', { token, body: { name: 'drill', ...body } }), 'id'));
  const [bySlugs, byTag] = [await create({ segments: followed }), await create({ tags: [tag] })];
  if (options.sabotage !== undefined) {
    const { sabotage } = options;
    await database.connected((client) => client.query(sabotage));
  }
  const { apply } = options;
  const followers = [
    await followByPull(access, bySlugs, { apply }),
    await followByPull(access, byTag, { apply, isStrict: false }),
    await followByEvents(access, bySlugs, { apply }),
    await followByWebhook(access, bySlugs, { apply }),
  ];
  return { cluster, services: [one, two], access, followers };
}

/** Runs some deeds concurrently, and starts the next as soon as one is done. */
async function actFor(access: Access, deeds: number): Promise<void> {
  let left = deeds;
  const one = async () => {
    while (left-- > 0) if ((await act(access)) === 0) await sleep(20);
  };
  await Promise.all(Array.from({ length: deedsAtOnce }, one));
}

async function strike({ cluster, services, access: { random } }: Stage): Promise<void> {
  await sleep(random() * 500);
  if (cluster && random() < 0.3) {
    await cluster.kill();
    await cluster.start();
    return;
  }
  services[random() < 0.5 ? 0 : 1]?.signal('SIGKILL');
}

/** Waits until a follower has caught up. Returns its differences if it never does. */
async function compare({ access }: Stage, { feed, fold }: Follower, withinMs: number): Promise<string[]> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const expected = await membersOf(access, feed).catch((error) => String(error));
    const differences = typeof expected === 'string' ? [expected] : fold.differences(expected);
    if (differences.length === 0 || performance.now() > deadline) return differences;
    await sleep(100);
  }
}

/**
 * Makes changes of every cause on two instances, kills instances and PostgreSQL meanwhile, and compares the state of followers
 * with the answers of the service.
 */
export async function tryFeed(options: TrialOptions): Promise<Verdict> {
  const { rounds, deedsPerRound, withinMs = 60_000 } = options;
  const stage = await prepare(options);
  const { access, followers, services, cluster } = stage;
  const faults: string[] = [];
  let [kills, comparisons] = [0, 0];
  for (let round = 0; round < rounds && faults.length === 0; round++) {
    const isKilling = options.kills && round % 2 === 0;
    await Promise.all([actFor(access, deedsPerRound), isKilling ? strike(stage) : undefined]);
    if (isKilling) kills += 1;
    await Promise.all(services.map((service) => service.ready()));
    if (round === rounds - 2) await deleteDoomed(access).catch(() => undefined);
    const found = await Promise.all(followers.map((follower) => compare(stage, follower, withinMs)));
    comparisons += found.length;
    for (const [i, { name, feed, fold }] of followers.entries()) {
      const wrong = [...(found[i] ?? []), ...fold.faults];
      faults.push(...wrong.map((fault) => `${name} of ${feed}, round ${round}: ${fault}`));
    }
  }
  for (const follower of followers) await follower.stop();
  for (const service of services) await service.stop();
  await cluster?.stop();
  const sum = (of: (follower: Follower) => number) => followers.reduce((total, one) => total + of(one), 0);
  const causes = new Map<string, number>();
  for (const { fold } of followers) {
    for (const [what, count] of fold.causes) causes.set(what, (causes.get(what) ?? 0) + count);
  }
  return {
    deeds: rounds * deedsPerRound,
    kills,
    applied: sum(({ fold }) => fold.applied),
    repeated: sum(({ fold }) => fold.repeated),
    comparisons,
    causes,
    faults,
  };
}
