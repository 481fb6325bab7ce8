import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import {
  addSegmentKey,
  countRows,
  countUnfolded,
  dropSegmentKey,
  letWritesGoOn,
  lockAgainstReads,
  lockAgainstWrites,
  selectLeftoverBytes,
  selectPlacement,
  selectSegmentKey,
  truncateLeftovers,
  tryToStopWrites,
  vacuum,
  validateSegmentKey,
} from './distribution.sql.ts';
import { keepIdentitiesOnCoordinator, readIdentities, restoreIdentities } from './identities.ts';
import { createDistributedTable, createReferenceTable } from './layout.sql.ts';
import { type DistributedTable, distributedTables, referenceTables } from './layout.ts';
import { selectSchemaVersion } from './obstacles.sql.ts';
import { Obstacle, refuseUnready, refuseWithoutCluster } from './obstacles.ts';
import { defaultLockLimits, inTransaction, type LockLimits, withLocks } from './session.ts';

export interface DistributeOptions {
  /** The schema version of this build. */
  readonly newest: number;
  /** Reports each step, in one line. */
  readonly say: (line: string) => void;
  /** Makes the tables in a database that has none; without it such a database is refused. */
  readonly makeTables?: () => Promise<unknown>;
  readonly locks?: LockLimits;
  /** How long instances take to notice that writes are stopped. */
  readonly noticeMs?: number;
}

/** The probe of an instance checks every half second, and gives up after one and a half. */
const noticeWithinMs = 2_500;
const stopWithinMs = 5_000;
const stopPauseMs = 50;
/** Smaller tables go without statistics, which would have their plans scan: see the migration `statistics`. */
const vacuumFromRows = 100_000;

const distributedNames = distributedTables.map(({ name }) => name);
const allNames = [...distributedNames, ...referenceTables];

const inSeconds = (fromMs: number) => `${((performance.now() - fromMs) / 1000).toFixed(1)} s`;

/**
 * Turns a database in use into a distributed one. One transaction moves all tables, so a run that is killed leaves them unchanged.
 * Reads continue, except for a moment at its end. Every step can be repeated.
 * @throws Obstacle with a sentence for the operator.
 */
export async function distribute(client: pg.Client, options: DistributeOptions): Promise<void> {
  await refuseWithoutCluster(client);
  if (options.makeTables && (await selectSchemaVersion(client)) === undefined) {
    await options.makeTables();
    options.say(`made the tables of schema version ${options.newest}`);
  }
  await refuseUnready(client, options.newest);
  const left = await tablesLeft(client);
  options.say(`checked: Citus with its workers, schema version ${options.newest}, no open jobs`);
  try {
    if (left.size > 0) await whileWritesStop(client, options, () => moveTables(client, options));
    else options.say('the tables are distributed already');
  } finally {
    // The key was dropped to move the tables, now or by an earlier run that was killed.
    await restoreSegmentKey(client, options.locks);
  }
  await keepIdentitiesOnCoordinator(client);
  await removeLeftovers(client, options);
  options.say('done');
}

/** @throws Obstacle if a table is distributed in another way. */
async function tablesLeft(client: pg.Client): Promise<Set<string>> {
  const left = new Set<string>();
  const wanted = [
    ...distributedTables.map(({ name, by }) => ({ name, kind: 'distributed', by: by as string | null })),
    ...referenceTables.map((name) => ({ name, kind: 'reference', by: null })),
  ];
  for (const { name, kind, by } of wanted) {
    const found = await selectPlacement(client, name);
    if (found === undefined || found.kind === 'local') left.add(name);
    else if (found.kind !== kind || found.by !== by) {
      throw new Obstacle(
        `${name} is a ${found.kind} table${found.by === null ? '' : ` by ${found.by}`}, but has to be a ${kind} one${by === null ? '' : ` by ${by}`}. Undo that first: SELECT undistribute_table('${name}', cascade_via_foreign_keys => true).`,
      );
    }
  }
  return left;
}

async function whileWritesStop(
  client: pg.Client,
  { say, noticeMs = noticeWithinMs }: DistributeOptions,
  work: () => Promise<void>,
): Promise<void> {
  const giveUpAt = performance.now() + stopWithinMs;
  while (!(await tryToStopWrites(client))) {
    if (performance.now() > giveUpAt) throw new Obstacle('Another run is under way on this database.');
    await sleep(stopPauseMs);
  }
  const stoppedAt = performance.now();
  say('writes are stopped: the service answers them with 503');
  try {
    await sleep(noticeMs);
    await work();
  } finally {
    await letWritesGoOn(client).catch(() => undefined);
    say(`writes go on; they stood still for ${inSeconds(stoppedAt)}`);
  }
}

/**
 * A table with a key to another one cannot be moved before it, and moving `segments` keeps readers away. Without the key all large
 * tables go first, beside readers. Rows of segments are never deleted, so no membership can lose its segment meanwhile.
 */
async function moveTables(client: pg.Client, options: DistributeOptions): Promise<void> {
  const { say, newest, locks = defaultLockLimits } = options;
  if ((await selectSegmentKey(client)) !== 'missing') {
    await inTransaction(client, () => withLocks(client, () => dropSegmentKey(client), locks, 'memberships'));
  }
  await inTransaction(client, async () => {
    await withLocks(client, () => lockAgainstWrites(client, allNames), locks, 'the tables');
    await refuseUnready(client, newest);
    const left = await tablesLeft(client);
    const before = await readIdentities(client);
    for (const table of distributedTables) {
      if (left.has(table.name)) await moveTable(client, table, say);
    }
    await compareFold(client, say);
    const lockedAt = performance.now();
    await withLocks(
      client,
      () =>
        lockAgainstReads(
          client,
          referenceTables.filter((name) => left.has(name)),
        ),
      locks,
      'segments',
    );
    for (const name of referenceTables) if (left.has(name)) await createReferenceTable(client, name);
    await addSegmentKey(client);
    const behind = await restoreIdentities(client, before);
    if (behind.length > 0) say(`put identities back in their place: ${behind.join(', ')}`);
    say(`copied ${referenceTables.join(', ')} to every node; readers waited for ${inSeconds(lockedAt)}`);
  });
}

async function moveTable(client: pg.Client, table: DistributedTable, say: (line: string) => void): Promise<void> {
  const startedAt = performance.now();
  const before = await countRows(client, table);
  await createDistributedTable(client, table);
  const after = await countRows(client, table);
  if (after !== before) throw new Error(`${table.name} had ${before} rows and has ${after}`);
  say(`distributed ${table.name} by ${table.by}: ${after} rows in ${inSeconds(startedAt)}`);
}

async function compareFold(client: pg.Client, say: (line: string) => void): Promise<void> {
  const startedAt = performance.now();
  const unfolded = await countUnfolded(client);
  if (unfolded > 0) throw new Error(`${unfolded} memberships are not what their history comes to`);
  say(`compared memberships with their history in ${inSeconds(startedAt)}`);
}

async function restoreSegmentKey(client: pg.Client, locks = defaultLockLimits): Promise<void> {
  if ((await selectSegmentKey(client)) === 'missing') {
    await inTransaction(client, () => withLocks(client, () => addSegmentKey(client), locks, 'memberships'));
  }
  if ((await selectSegmentKey(client)) === 'not_valid') await validateSegmentKey(client);
}

/** Deletes the rows that the tables left on the coordinator, which no statement sees any more. */
async function removeLeftovers(
  client: pg.Client,
  { say, locks = defaultLockLimits }: DistributeOptions,
): Promise<void> {
  // Truncating `segments` cascades to the tables that refer to it: none of them may still hold its rows there.
  if ((await tablesLeft(client)).size > 0) throw new Error('a table is not distributed');
  for (const name of allNames) {
    const bytes = await selectLeftoverBytes(client, name);
    if (bytes === 0) continue;
    await inTransaction(client, () => withLocks(client, () => truncateLeftovers(client, name), locks, name));
    say(`removed what ${name} had left on the coordinator: ${Math.ceil(bytes / 1024 / 1024)} MiB`);
  }
  for (const table of distributedTables) {
    if ((await countRows(client, table)) >= vacuumFromRows) await vacuum(client, table.name);
  }
}
