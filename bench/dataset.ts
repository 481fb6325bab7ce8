import { countUnfolded } from '@kohort/testkit/fold.ts';
import { connected } from '@kohort/testkit/nodes.ts';
import type pg from 'pg';
import {
  copyForPeer,
  finishLoading,
  insertMemberships,
  insertUsers,
  moveUserIds,
  prepareForLoading,
  type UserRange,
} from './dataset.sql.ts';
import { freeSpace, type Postgres } from './postgres.ts';
import { say, sayAgain } from './progress.ts';
import { type Service, startService } from './service.ts';
import { formatCount } from './table.ts';

export const SEGMENTS = 200;
// Raised with each change to the content of datasets: kept ones with an older number are created again.
const VERSION = 2;
const CHUNK_USERS = 20_000;
/** Bytes on disk for a membership with its history row and its share of the user, and for the log. */
const MEMBERSHIP_BYTES = 400;
const LOG_BYTES = 10 * 2 ** 30;
/** Above the ids of all users of all datasets: the ids of accounts start here. */
const FIRST_ACCOUNT_ID = 1_000_000_000;

export interface Dataset {
  readonly database: string;
  /** Ids 1 to `users` have about ten memberships each; those from `users + 1` to `2 * users` have none. */
  readonly users: number;
  readonly memberships: number;
}

export interface Wanted {
  readonly users: number;
  /** Also creates users without memberships, for adds, and the peer's tables. */
  readonly complete: boolean;
}

/** Inserts users into a database, chunk by chunk, and reports progress. */
export async function fill(
  client: pg.Client,
  { from, to }: UserRange,
  { members, what }: { members: boolean; what: string },
): Promise<number> {
  let memberships = 0;
  for (let start = from; start <= to; start += CHUNK_USERS) {
    const chunk = { from: start, to: Math.min(to, start + CHUNK_USERS - 1) };
    await insertUsers(client, chunk);
    if (members) memberships += await insertMemberships(client, chunk);
    sayAgain(`${what}: ${formatCount(chunk.to - from + 1)} of ${formatCount(to - from + 1)}`);
  }
  say(`${what}: ${formatCount(to - from + 1)} users, ${formatCount(memberships)} memberships`);
  return memberships;
}

async function createSegments(service: Service): Promise<void> {
  for (let i = 1; i <= SEGMENTS; i++) {
    await service.call('POST', '/api/segments', { slug: `SEGMENT_${i}`, description: `Benchmark segment ${i}` });
  }
}

function markOf({ users, complete }: Wanted, schema: number): string {
  return JSON.stringify({ version: VERSION, users, complete, schema });
}

async function readMark(client: pg.Client): Promise<string | undefined> {
  const { rows } = await client.query<{ mark: string | null }>(
    "SELECT shobj_description(oid, 'pg_database') AS mark FROM pg_database WHERE datname = current_database()",
  );
  return rows[0]?.mark ?? undefined;
}

async function readSchema(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ version: string }>('SELECT version FROM schema_migrations');
  return Number(rows[0]?.version);
}

async function countMemberships(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ count: string }>('SELECT count(*) AS count FROM memberships');
  return Number(rows[0]?.count);
}

/** The dataset, if this version of the bench made it for the schema `newest`. */
async function findKept(postgres: Postgres, database: string, wanted: Wanted, newest: number) {
  if (!(await postgres.exists(database))) return undefined;
  return postgres.connected(database, async (client) =>
    (await readMark(client)) === markOf(wanted, newest) ? countMemberships(client) : undefined,
  );
}

/** Fills an empty database, whose schema the service makes first. @returns the number of memberships. */
export async function fillDatabase(url: string, { users, complete }: Wanted): Promise<number> {
  const service = await startService({ databaseUrl: url });
  await createSegments(service);
  await service.stop();
  return connected(
    url,
    async (client) => {
      await prepareForLoading(client);
      const memberships = await fill(client, { from: 1, to: users }, { members: true, what: 'users with memberships' });
      if (complete) {
        await fill(client, { from: users + 1, to: 2 * users }, { members: false, what: 'users without' });
        say('the same for the peer');
        await copyForPeer(client);
      }
      await moveUserIds(client, FIRST_ACCOUNT_ID);
      say('ANALYZE and VACUUM');
      await finishLoading(client);
      const unfolded = await countUnfolded(client);
      if (unfolded > 0) throw new Error(`${unfolded} memberships are not the fold of their history`);
      return memberships;
    },
    { application_name: 'bench' },
  );
}

/**
 * A database with users, segments, memberships and their history, filled by SQL in a schema that the service itself has set up.
 * Kept ones are used again if they are the same.
 */
export async function prepareDataset(
  postgres: Postgres,
  wanted: Wanted,
  { folder, newestSchema }: { folder: string; newestSchema: number },
): Promise<Dataset> {
  const { users, complete } = wanted;
  const database = `kohort_bench_data_${users}${complete ? '_complete' : ''}`;
  const kept = await findKept(postgres, database, wanted, newestSchema);
  if (kept !== undefined) {
    say(`${database} is there already`);
    return { database, users, memberships: kept };
  }
  const needed = users * 10 * MEMBERSHIP_BYTES * (complete ? 3 : 1) + LOG_BYTES;
  const free = await freeSpace(folder);
  if (needed > free) {
    const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
    throw new Error(`${users * 10} memberships need about ${gibibytes(needed)}, and ${gibibytes(free)} are free`);
  }

  await postgres.drop(database);
  await postgres.create(database);
  const memberships = await fillDatabase(postgres.urlOf(database), wanted);
  await postgres.connected(database, async (client) => {
    const mark = markOf(wanted, await readSchema(client)).replaceAll("'", "''");
    await client.query(`COMMENT ON DATABASE ${database} IS '${mark}'`);
  });
  return { database, users, memberships };
}
