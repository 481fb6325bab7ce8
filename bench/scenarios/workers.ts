import { countDescendants } from '../cpu.ts';
import { type Contestant, openedAgain, takeTurns } from '../measure.ts';
import { compare, type Findings, rate, rowOf, serverMicros } from '../ratio.ts';
import { startBare } from '../rivals.ts';
import type { Target } from '../service.ts';
import { plainRead, readLoad, type Stage, startAnother } from '../stage.ts';
import { formatDecimal } from '../table.ts';

const WORKERS = 2;
/** How much longer all are warmed up: each worker compiles for itself, and answers only a part of the load. */
const WARM_UPS = 5;

function bareRead(stage: Stage, name: string, target: Target): Contestant {
  return {
    name,
    target: () => target,
    connection: undefined,
    load: readLoad(stage, target, { tokens: stage.tokens }),
  };
}

/**
 * Reads of one process and of two that share a port. Two keep more of the machine busy at once, and whatever shares its caches,
 * or the two halves of a core, takes more processor time for the same work; bare `node:http` shows how much.
 */
export async function workers(stage: Stage): Promise<Findings> {
  const { database, options, postgres } = stage;
  const { service, tokens } = await startAnother(stage, database, { WORKERS: String(WORKERS) });
  const twoBare = await startBare(WORKERS);
  try {
    if ((await countDescendants(service.pid)) < WORKERS) {
      return {
        rows: [],
        ratios: [],
        notes: ['workers: left out, as this build of the service ignores WORKERS.'],
      };
    }
    const contestants: Contestant[] = [
      plainRead(stage, 'one process'),
      {
        name: 'two workers',
        target: () => service,
        connection: { application: 'kohort', database },
        load: readLoad(stage, service, { tokens }),
      },
      {
        name: 'two workers, twice the connections',
        target: () => service,
        connection: { application: 'kohort', database },
        load: readLoad(stage, service, { tokens, connections: options.connections * WORKERS }),
      },
      bareRead(stage, 'bare node:http', stage.bare),
      bareRead(stage, 'bare node:http, two processes', twoBare),
    ];
    const rows = await takeTurns(
      'workers',
      contestants.map(openedAgain),
      { ...options, warmUp: WARM_UPS * options.warmUp },
      postgres,
    );
    const pair = [rowOf(rows, 'two workers'), rowOf(rows, 'one process')] as const;
    const [both, one] = pair.map((row) => row?.median.resident ?? Number.NaN);
    return {
      rows,
      ratios: [
        ...compare('read: processor time of the service, two workers against one process', pair, serverMicros, {
          atMost: 1.1,
        }),
        ...compare(
          'read: the same, with as many connections for each worker',
          [rowOf(rows, 'two workers, twice the connections'), pair[1]],
          serverMicros,
          {},
        ),
        ...compare(
          'the same of bare node:http, two processes against one',
          [rowOf(rows, 'bare node:http, two processes'), rowOf(rows, 'bare node:http')],
          serverMicros,
          {},
        ),
        ...compare('read: requests/s, two workers against one process', pair, rate, {}),
      ],
      notes: [
        `workers: ${formatDecimal(both)} MiB under load for the supervisor and ${WORKERS} workers, ${formatDecimal(one)} MiB for one process.`,
      ],
    };
  } finally {
    await Promise.all([service.stop(), twoBare.stop()]);
  }
}
