import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, createCluster } from '@kohort/testkit/cluster.ts';
import { demand, fieldOf, signIn } from '@kohort/testkit/http.ts';
import { ADMIN_PASSWORD } from '@kohort/testkit/service.ts';
import { type Supervised, startService } from '../service.ts';
import { seededRandom } from '../stage.ts';
import { type Access, type Apply, type Follower, followByEvents, followByPull, followByWebhook } from './followers.ts';
import { act, createWorld, deleteDoomed, followed, membersOf, tag } from './world.ts';

export interface TrialOptions {
  readonly seed: number;
  /** Stretches of changes; after each of them what followers know is compared. */
  readonly rounds: number;
  readonly deedsPerRound: number;
  /** Whether services and PostgreSQL are killed meanwhile. */
  readonly kills: boolean;
  /** How long a follower may take to know all, in milliseconds. */
  readonly withinMs?: number;
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
  readonly cluster: Cluster;
  readonly services: readonly Supervised[];
  readonly access: Access;
  readonly followers: readonly Follower[];
}

const deedsAtOnce = 6;
/** The follower by webhook listens on loopback. */
const env = { WEBHOOK_ALLOW: '127.0.0.0/8' };

async function prepare(options: TrialOptions): Promise<Stage> {
  const random = seededRandom(options.seed);
  const cluster = await createCluster();
  const [one, two] = [
    await startService({ databaseUrl: cluster.url, env }),
    await startService({ databaseUrl: cluster.url, env }),
  ];
  const token = await signIn(one.url, 'admin', ADMIN_PASSWORD);
  const access: Access = { url: () => (random() < 0.5 ? one.url : two.url), token, random };
  await createWorld(access);
  const create = async (body: object) =>
    Number(fieldOf(await demand(one.url, 'POST', '/api/feeds', { token, body: { name: 'drill', ...body } }), 'id'));
  const [bySlugs, byTag] = [await create({ segments: followed }), await create({ tags: [tag] })];
  if (options.sabotage !== undefined) {
    const { sabotage } = options;
    await cluster.connected((client) => client.query(sabotage));
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

/** Some deeds at once, and the next as soon as one is done. */
async function actFor(access: Access, deeds: number): Promise<void> {
  let left = deeds;
  const one = async () => {
    while (left-- > 0) if ((await act(access)) === 0) await sleep(20);
  };
  await Promise.all(Array.from({ length: deedsAtOnce }, one));
}

async function strike({ cluster, services, access: { random } }: Stage): Promise<void> {
  await sleep(random() * 500);
  if (random() < 0.3) {
    await cluster.kill();
    await cluster.start();
    return;
  }
  services[random() < 0.5 ? 0 : 1]?.signal('SIGKILL');
}

/** Waits until a follower knows who is in each segment; what it has wrong by then where it never does. */
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
 * Has changes of every cause made on two instances, some of which are killed, and PostgreSQL too, and compares what
 * followers know with what the service answers.
 */
export async function tryFeed(options: TrialOptions): Promise<Verdict> {
  const { rounds, deedsPerRound, withinMs = 20_000 } = options;
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
  await cluster.stop();
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
