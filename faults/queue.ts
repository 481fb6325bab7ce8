import { setTimeout as sleep } from 'node:timers/promises';
import { untilPasses } from '@kohort/testkit/eventually.ts';
import { countUnfolded } from '@kohort/testkit/fold.ts';
import { call, demand, fieldOf, signIn } from '@kohort/testkit/http.ts';
import { say } from '@kohort/testkit/processes.ts';
import { ADMIN_PASSWORD } from '@kohort/testkit/service.ts';
import pg from 'pg';
import { type Supervised, startService } from './service.ts';

export interface QueueSizes {
  readonly instances: number;
  /** Rows of the import whose process is killed, and of the one that is cancelled. */
  readonly large: number;
  readonly cancelled: number;
  /** Imports beside them, and the rows of each. */
  readonly others: number;
  readonly rows: number;
}

/** Only ends a drill that waits in vain. */
const endedWithinMs = 1_800_000;
/** Statements that change memberships by the plan of a job name it. */
const planOf = (job: number) => `plan_${job}\\y`;

interface Job {
  readonly id: number;
  readonly slug: string;
  readonly rows: number;
}

interface JobState {
  readonly id: number;
  readonly state: string;
  readonly attempts: number;
  readonly added: number;
  readonly members: number;
  readonly history: number;
}

export interface QueueOutcome {
  readonly faults: readonly string[];
  readonly jobs: number;
  /** Milliseconds from the first upload to the end of the last job. */
  readonly tookMs: number;
  /** Milliseconds from the kill until another process began again. */
  readonly takenOverMs: number;
  /** How many workers were seen at a job; a restarted process is another one. */
  readonly owners: number;
}

/** Each instance by a name that PostgreSQL shows for its connections. */
async function startInstances(url: string, count: number): Promise<Map<string, Supervised>> {
  const start = async (i: number): Promise<[string, Supervised]> => {
    const name = `kohort-${i}`;
    return [name, await startService({ databaseUrl: `${url}?application_name=${name}` })];
  };
  // The first one migrates.
  const first = await start(0);
  return new Map([first, ...(await Promise.all(Array.from({ length: count - 1 }, (_, i) => start(i + 1))))]);
}

async function upload(url: string, token: string, slug: string, rows: number): Promise<Job> {
  await demand(url, 'POST', '/api/segments', { body: { slug }, token });
  const body = new Blob(['user_id\n', Array.from({ length: rows }, (_, i) => i + 2).join('\n')]);
  const headers = { 'Content-Type': 'text/csv' };
  const path = `/api/segments/${slug}/import?mode=add`;
  const answer = await demand(url, 'POST', path, { body, token, headers, withinMs: endedWithinMs });
  return { id: Number(fieldOf(answer, 'job')), slug, rows };
}

/** The instance that changes memberships for a job right now. */
async function workerOf(client: pg.Pool, job: number): Promise<string | undefined> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT application_name AS name FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' AND query ~ $1 AND query ~ '(INSERT INTO|UPDATE) memberships'`,
    [planOf(job)],
  );
  return rows[0]?.name;
}

/** Waits until an instance changes memberships for a job. @returns its name; undefined if the job ends first. */
async function waitForWorker(client: pg.Pool, { id }: Job): Promise<string | undefined> {
  for (;;) {
    const name = await workerOf(client, id);
    if (name !== undefined) return name;
    const { rows } = await client.query('SELECT FROM jobs WHERE id = $1 AND finished_at IS NOT NULL', [id]);
    if (rows.length > 0) return undefined;
    await sleep(5);
  }
}

/** Waits until another process has begun a job again. @returns false if the first one had ended it by then. */
async function waitForTakeover(client: pg.Pool, job: number): Promise<boolean> {
  return untilPasses(async () => {
    const { rows } = await client.query<{ attempts: number }>(
      'SELECT attempts::int FROM jobs WHERE id = $1 AND (finished_at IS NOT NULL OR attempts > 1 AND owner IS NOT NULL)',
      [job],
    );
    if (!rows[0]) throw new Error('no other process has taken it');
    return rows[0].attempts > 1;
  }, endedWithinMs);
}

async function waitForAll(client: pg.Pool): Promise<void> {
  await untilPasses(async () => {
    const { rows } = await client.query("SELECT FROM jobs WHERE kind = 'segment_import' AND finished_at IS NULL");
    if (rows.length > 0) throw new Error(`${rows.length} jobs have not ended`);
  }, endedWithinMs);
}

/** Notes which workers run jobs, until the returned function is called. */
function watchOwners(client: pg.Pool): () => Promise<number> {
  const owners = new Set<string>();
  let isWatching = true;
  const watching = (async () => {
    while (isWatching) {
      const { rows } = await client.query<{ owner: string }>(
        "SELECT owner FROM jobs WHERE kind = 'segment_import' AND state = 'running' AND owner IS NOT NULL",
      );
      for (const { owner } of rows) owners.add(owner);
      await sleep(10);
    }
  })();
  watching.catch(() => undefined);
  return async () => {
    isWatching = false;
    await watching;
    return owners.size;
  };
}

/** What ended jobs must leave nothing of: tables of their files, and fences. Sweeping takes a few seconds. */
async function waitForSweep(client: pg.Pool): Promise<void> {
  await untilPasses(async () => {
    const { rows } = await client.query<{ left: number }>(`
      SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'import_staging'::regnamespace)::int
        + (SELECT count(*) FROM import_holds)::int AS left`);
    if (rows[0]?.left !== 0) throw new Error('tables or fences are left');
  });
}

async function statesOf(client: pg.Pool): Promise<JobState[]> {
  const countsIn = async (table: 'memberships' | 'history') => {
    const { rows } = await client.query<{ segment: number; count: number }>(
      `SELECT segment_id::int AS segment, count(*)::int AS count FROM ${table} GROUP BY segment_id`,
    );
    return new Map(rows.map(({ segment, count }) => [segment, count]));
  };
  const [members, history] = [await countsIn('memberships'), await countsIn('history')];
  const { rows } = await client.query<Omit<JobState, 'members' | 'history'> & { segment: number }>(`
    SELECT j.id::int, j.state, j.attempts::int, j.added::int, j.segment_id::int AS segment
    FROM jobs j WHERE j.kind = 'segment_import'`);
  return rows.map(({ segment, ...job }) => ({
    ...job,
    members: members.get(segment) ?? 0,
    history: history.get(segment) ?? 0,
  }));
}

function faultsOf(
  states: readonly JobState[],
  jobs: readonly Job[],
  at: { killed: number | undefined; cancelled: number | undefined },
): string[] {
  return jobs.flatMap(({ id, slug, rows }) => {
    const found = states.find((state) => state.id === id);
    if (!found) return [`LOST ${slug}`];
    const { state, attempts, added, members, history } = found;
    const isRight =
      id === at.cancelled
        ? state === 'cancelled' && members === 0 && history === 0
        : state === 'done' && added === rows && members === rows && history === rows;
    return isRight && (id !== at.killed || attempts === 2) ? [] : [`${slug} IS ${JSON.stringify(found)}`];
  });
}

async function addUsers(client: pg.Pool, count: number): Promise<void> {
  await client.query("INSERT INTO users (name) SELECT 'queue ' || g FROM generate_series(1, $1::int) g", [count]);
  await client.query('ANALYZE users');
}

interface Struck {
  /** The imports it took; the last one is that whose process was killed. */
  readonly jobs: readonly Job[];
  readonly takenOverMs: number;
}

/** Kills the process that works on a large import: the first one, or another if that has ended by then. */
async function strike(
  client: pg.Pool,
  services: ReadonlyMap<string, Supervised>,
  { first, another }: { readonly first: Job; readonly another: () => Promise<Job> },
): Promise<Struck> {
  const jobs = [first];
  for (let job = first; ; jobs.push(job)) {
    const name = await waitForWorker(client, job);
    if (name !== undefined) {
      if (!services.get(name)?.signal('SIGKILL')) throw new Error(`${name} was not there to be killed`);
      const struck = performance.now();
      say(`  ${name} was killed while it applied ${job.rows} rows`);
      if (await waitForTakeover(client, job.id)) return { jobs, takenOverMs: performance.now() - struck };
    }
    job = await another();
  }
}

/** @returns whether it was cancelled; an import may end before its cancelling arrives. */
async function isCancelled(client: pg.Pool, at: { url: string; token: string }, job: Job): Promise<boolean> {
  if ((await waitForWorker(client, job)) === undefined) return false;
  // The instance that is asked may be the one that is being killed.
  const { status, text } = await untilPasses(() => call(at.url, 'DELETE', `/api/jobs/${job.id}`, { token: at.token }));
  if (status !== 200 && status !== 409) throw new Error(`the cancelling was answered ${status}: ${text}`);
  // An answer may be lost, and the call be made again.
  const { rows } = await client.query("SELECT FROM jobs WHERE id = $1 AND state = 'cancelled'", [job.id]);
  if (rows.length === 0) return false;
  say(`  the import of ${job.rows} rows was cancelled while it was applied`);
  return true;
}

/** Uploads imports until one is cancelled while it is applied. */
async function cancelOne(
  client: pg.Pool,
  at: { url: string; token: string },
  another: () => Promise<Job>,
): Promise<Job[]> {
  const jobs: Job[] = [];
  for (;;) {
    const job = await another();
    jobs.push(job);
    if (await isCancelled(client, at, job)) return jobs;
  }
}

/**
 * Several processes at once on one queue of imports. The one that works on the largest is killed in the middle, and another import
 * is cancelled in the middle.
 */
export async function tryQueue(
  client: pg.Pool,
  services: ReadonlyMap<string, Supervised>,
  { large, cancelled, others, rows }: QueueSizes,
): Promise<QueueOutcome> {
  const urls = [...services.values()].map(({ url }) => url);
  const urlOf = (i: number) => urls[i % urls.length] ?? '';
  const token = await signIn(urlOf(0), 'admin', ADMIN_PASSWORD);
  await addUsers(client, Math.max(large, cancelled, rows));
  const began = performance.now();
  const countOwners = watchOwners(client);
  const [first, ...rest] = await Promise.all([
    upload(urlOf(0), token, 'large', large),
    ...Array.from({ length: others }, (_, i) => upload(urlOf(i + 2), token, `other-${i}`, rows)),
  ]);
  let uploads = 0;
  // The instance that takes the file may be the one that is being killed; what it has received is an import of its own then.
  const another = (slug: string, count: number) =>
    untilPasses(() => upload(urlOf(1), token, `${slug}-${++uploads}`, count), endedWithinMs);
  const [{ jobs: struck, takenOverMs }, tried] = await Promise.all([
    strike(client, services, { first, another: () => another('large', large) }),
    cancelOne(client, { url: urlOf(1), token }, () => another('cancelled', cancelled)),
  ]);
  await waitForAll(client);
  const tookMs = performance.now() - began;
  await waitForSweep(client);
  const jobs = [...struck, ...tried, ...rest];
  const at = { killed: struck.at(-1)?.id, cancelled: tried.at(-1)?.id };
  const faults = faultsOf(await statesOf(client), jobs, at);
  const unfolded = await countUnfolded(client);
  return {
    faults: unfolded === 0 ? faults : [...faults, `${unfolded} NOT THE FOLD`],
    jobs: jobs.length,
    tookMs,
    takenOverMs,
    owners: await countOwners(),
  };
}

/** Starts the instances, and connections that see what they do. */
export async function onInstances<T>(
  url: string,
  count: number,
  work: (client: pg.Pool, services: ReadonlyMap<string, Supervised>) => Promise<T>,
): Promise<T> {
  const services = await startInstances(url, count);
  const client = new pg.Pool({ connectionString: url, application_name: 'faults' });
  try {
    return await work(client, services);
  } finally {
    await client.end();
    await Promise.all([...services.values()].map((service) => service.stop()));
  }
}
