import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { atEnd } from '@kohort/testkit/processes.ts';
import { copyMemberships, createPlainCopy, writeIdFile } from '../bulk.ts';
import { residentNow } from '../cpu.ts';
import { countUnpurged, finishLoading, prepareForLoading } from '../dataset.sql.ts';
import { fill } from '../dataset.ts';
import { type Contestant, takeTurns } from '../measure.ts';
import type { Options } from '../options.ts';
import { say } from '../progress.ts';
import { compare, type Findings, p99, type Ratio, rate, rowOf } from '../ratio.ts';
import type { Service } from '../service.ts';
import { readLoad, type Stage, startAnother } from '../stage.ts';
import { formatCount, formatDecimal } from '../table.ts';
import type { Outcome } from '../wrk.ts';

/** Each adds a million rows, and takes far longer than the seconds of the others. */
const mostRounds = 3;

function fewRounds(options: Options): Options {
  return { ...options, rounds: Math.min(options.rounds, mostRounds) };
}

const DATABASE = 'kohort_bench_bulk';
const JOB_WITHIN_MS = 900_000;
const LOOK_EVERY_MS = 25;
/** Milliseconds until the load has started. */
const HEAD_START_MS = 200;
/** How often the file of the memory test names every user. */
const REPEATED_TIMES = 5;

interface Bench {
  readonly stage: Stage;
  readonly service: Service;
  readonly tokens: string;
  /** How many users, and so rows of a file. */
  readonly size: number;
  readonly file: string;
}

function stateOf(job: unknown): { state: string; added: number } {
  const field = (name: string): unknown =>
    typeof job === 'object' && job !== null ? Reflect.get(job, name) : undefined;
  return { state: String(field('state')), added: Number(field('added')) };
}

let segments = 0;

async function newSegment(service: Service): Promise<string> {
  const slug = `BULK_${++segments}`;
  await service.call('POST', '/api/segments', { slug });
  return slug;
}

/** Sends a file and waits until its job has ended. @returns how many were added. @throws unless the job is done. */
async function importFile(service: Service, slug: string, file: string): Promise<number> {
  const answer = await service.upload(`/api/segments/${slug}/import?mode=add`, file);
  const job: unknown = typeof answer === 'object' && answer !== null ? Reflect.get(answer, 'job') : undefined;
  for (const began = performance.now(); performance.now() - began < JOB_WITHIN_MS; await sleep(LOOK_EVERY_MS)) {
    const { state, added } = stateOf(await service.call('GET', `/api/jobs/${job}`));
    if (state === 'done') return added;
    if (state === 'failed' || state === 'cancelled') throw new Error(`the import ${state}`);
  }
  throw new Error('the import takes too long');
}

/** Bulk work as a row of the table, with rows a second instead of requests. */
async function timed(work: () => Promise<number>): Promise<Outcome> {
  const began = performance.now();
  const requests = await work();
  const seconds = (performance.now() - began) / 1000;
  return { requests, seconds, p50: Number.NaN, p99: Number.NaN, refused: 0, broken: 0, issued: 0 };
}

/** An import that adds every user, each with a history row, in turns with a plain COPY of the same rows. */
async function importBesideCopy({ stage, service, file, size }: Bench): Promise<Findings> {
  const { postgres, options } = stage;
  await postgres.connected(DATABASE, createPlainCopy);
  // One import and one COPY are long enough to warm up.
  const load = async () => timed(async () => importFile(service, await newSegment(service), file));
  const copy = async () => {
    const slug = await newSegment(service);
    return timed(() => postgres.connected(DATABASE, (client) => copyMemberships(client, { slug, size })));
  };
  const connection = { application: 'kohort', database: DATABASE };
  const contestants: Contestant[] = [
    { name: 'import with history, rows/s', target: () => service, connection, load },
    {
      name: 'COPY without, rows/s',
      target: () => undefined,
      connection: { application: undefined, database: DATABASE },
      load: copy,
    },
  ];
  const rows = await takeTurns('bulk', contestants, fewRounds(options), postgres);
  return {
    rows,
    ratios: compare(
      `import of ${formatCount(size)} members with history against a plain COPY of the same rows`,
      [rowOf(rows, 'import with history, rows/s'), rowOf(rows, 'COPY without, rows/s')],
      rate,
      { atLeast: 0.45 },
    ),
    notes: [],
  };
}

/** How much the service's memory grows while a file of many rows is uploaded. */
async function memoryOfImport({ stage, service, size }: Bench): Promise<Findings> {
  const file = join(stage.folder, 'repeated.csv');
  await writeIdFile(file, size, REPEATED_TIMES);
  const slug = await newSegment(service);
  const idle = await residentNow(service.pid);
  let highest = idle;
  let ended = false;
  const looking = (async () => {
    while (!ended) {
      highest = Math.max(highest, await residentNow(service.pid));
      await sleep(100);
    }
  })();
  await importFile(service, slug, file).finally(() => {
    ended = true;
  });
  await looking;
  const rows = formatCount(size * REPEATED_TIMES);
  say(`[bulk] ${rows} rows: from ${formatDecimal(idle)} to ${formatDecimal(highest)} MiB`);
  const growth: Ratio = { what: `MiB above idle while ${rows} rows come in`, value: highest - idle, atMost: 150 };
  return {
    rows: [],
    ratios: [growth],
    notes: [
      `bulk: that file names each of ${formatCount(size)} users ${REPEATED_TIMES} times; idle were ${formatDecimal(idle)} MiB.`,
    ],
  };
}

/** Waits until a deleted segment has no members left. */
async function untilPurged({ postgres }: Stage): Promise<void> {
  for (const began = performance.now(); performance.now() - began < JOB_WITHIN_MS; await sleep(LOOK_EVERY_MS * 10)) {
    if ((await postgres.connected(DATABASE, countUnpurged)) === 0) return;
  }
  throw new Error('the purge of a deleted segment does not end');
}

/** Reads alone, during imports, and while a deleted segment is being purged. */
async function readsBeside({ stage, service, tokens, file, size }: Bench): Promise<Findings> {
  const { postgres, options } = stage;
  const alone: Contestant = {
    name: 'reads alone',
    target: () => service,
    connection: { application: 'kohort', database: DATABASE },
    load: readLoad(stage, service, { tokens }),
  };
  const answered: number[] = [];
  let doomed = '';

  let importing = Promise.resolve();
  let over = false;
  const besideImports: Contestant = {
    ...alone,
    name: 'reads beside imports',
    warmUp: async () => {},
    async before() {
      over = false;
      importing = (async () => {
        while (!over) await importFile(service, await newSegment(service), file);
      })();
      // `after` waits for it and reports a failure.
      importing.catch(() => undefined);
    },
    async after() {
      over = true;
      await importing;
    },
  };
  const besidePurge: Contestant = {
    ...alone,
    name: 'reads beside a purge',
    warmUp: async () => {},
    async before() {
      doomed = await newSegment(service);
      await importFile(service, doomed, file);
    },
    async load(seconds) {
      const reading = alone.load(seconds);
      await sleep(HEAD_START_MS);
      const began = performance.now();
      await service.call('DELETE', `/api/segments/${doomed}`);
      answered.push(performance.now() - began);
      const left = await service.call('GET', '/api/users/1/segments');
      if (JSON.stringify(left).includes(`"${doomed}"`)) throw new Error('a deleted segment is still seen');
      return reading;
    },
    after: () => untilPurged(stage),
  };

  const rows = await takeTurns('bulk', [alone, besideImports, besidePurge], fewRounds(options), postgres);
  return findingsBeside(rows, { size, slowestMs: Math.max(...answered) });
}

function findingsBeside(rows: Findings['rows'], { size, slowestMs }: { size: number; slowestMs: number }): Findings {
  const quiet = rowOf(rows, 'reads alone');
  return {
    rows,
    ratios: [
      ...compare('read p99 during imports, against reads alone', [rowOf(rows, 'reads beside imports'), quiet], p99, {
        atMost: 3,
      }),
      ...compare('read p99 during a purge, against reads alone', [rowOf(rows, 'reads beside a purge'), quiet], p99, {
        atMost: 3,
      }),
      {
        what: `deleting a segment with ${formatCount(size)} members, under that load: ms to the answer, at worst`,
        value: slowestMs,
        atMost: 200,
      },
    ],
    notes: [],
  };
}

/** What analysts do: import a file of many ids into a segment and delete segments, while others read. */
export async function bulk(stage: Stage): Promise<Findings> {
  const { postgres, dataset, options, folder } = stage;
  const size = options.quick ? 20_000 : 1_000_000;
  await postgres.drop(DATABASE);
  await postgres.create(DATABASE, dataset.database);
  const drop = atEnd(() => postgres.drop(DATABASE));
  await postgres.connected(DATABASE, async (client) => {
    await prepareForLoading(client);
    const from = 2 * dataset.users + 1;
    if (from <= size) await fill(client, { from, to: size }, { members: false, what: 'users to import' });
    await finishLoading(client);
  });
  const { service, tokens } = await startAnother(stage, DATABASE);
  const file = join(folder, 'ids.csv');
  await writeIdFile(file, size, 1);
  const bench: Bench = { stage, service, tokens, size, file };
  try {
    const found: Findings[] = [];
    for (const part of [importBesideCopy, readsBeside, memoryOfImport]) found.push(await part(bench));
    return {
      rows: found.flatMap(({ rows }) => rows),
      ratios: found.flatMap(({ ratios }) => ratios),
      notes: found.flatMap(({ notes }) => notes),
    };
  } finally {
    await service.stop();
    await drop();
  }
}
