import { takeTurns } from '../measure.ts';
import { compare, type Findings, p99, rate, rowOf } from '../ratio.ts';
import { plainRead, type Stage } from '../stage.ts';
import { median } from '../statistics.ts';
import { formatCount, formatDecimal } from '../table.ts';
import type { Outcome } from '../wrk.ts';

const READERS_SHARE = 0.9;
const ADDS_PER_READ = 1 / 9;
// Enough to keep to the schedule, however long an add takes.
const ADDING_CONNECTIONS = 32;

/**
 * Reads with and without adds beside them, on the same number of connections. The adds come from another wrk on a schedule: one for
 * every nine reads that were answered in the run before.
 */
export async function mixed(stage: Stage): Promise<Findings> {
  const { service, database, tokens, options, postgres } = stage;
  const readers = Math.max(1, Math.round(options.connections * READERS_SHARE));
  const alone = plainRead(stage, 'reads alone', readers);
  let readRate = 0;
  let adds: Outcome[] = [];

  async function loadMixed(seconds: number): Promise<Outcome> {
    const [reads, added] = await Promise.all([
      alone.load(seconds),
      stage.add(service, {
        seconds,
        connections: ADDING_CONNECTIONS,
        threads: 1,
        tokens,
        rate: readRate * ADDS_PER_READ,
      }),
    ]);
    readRate = reads.requests / reads.seconds;
    adds.push(added);
    return reads;
  }

  const rows = await takeTurns(
    'mixed',
    [
      {
        ...alone,
        warmUp: async () => {
          const { requests, seconds } = await alone.load(options.warmUp);
          readRate = requests / seconds;
        },
      },
      {
        name: 'reads beside adds 1:9',
        target: () => service,
        connection: { application: 'kohort', database },
        load: loadMixed,
        warmUp: async () => {
          await loadMixed(options.warmUp);
          adds = [];
        },
      },
    ],
    options,
    postgres,
  );

  return findingsOf(rows, adds, readers);
}

function findingsOf(rows: Findings['rows'], adds: readonly Outcome[], readers: number): Findings {
  const together = rowOf(rows, 'reads beside adds 1:9');
  const addRate = median(adds.map(({ requests, refused, seconds }) => (requests - refused) / seconds));
  const addP99 = median(adds.map((outcome) => outcome.p99));
  return {
    rows,
    ratios: [
      ...compare('read p99 while adds run 1:9, against reads alone', [together, rowOf(rows, 'reads alone')], p99, {
        atMost: 2,
      }),
      ...compare('reads/s while adds run 1:9, against reads alone', [together, rowOf(rows, 'reads alone')], rate, {}),
    ],
    notes: [
      `mixed: ${readers} connections read as fast as they can in both; beside them adds came by schedule on ${ADDING_CONNECTIONS} connections: ` +
        `${formatCount(addRate)} adds/s (1 for ${formatDecimal((together?.median.rate ?? 0) / addRate)} reads), their p99 ${formatDecimal(addP99)} ms, ` +
        `${formatCount(adds.reduce((sum, { refused, broken }) => sum + refused + broken, 0))} errors. Busy cores are those of both.`,
    ],
  };
}
