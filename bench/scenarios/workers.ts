import { countDescendants } from '../cpu.ts';
import { takeTurns } from '../measure.ts';
import { compare, type Findings, medianOf, rate, serverMicros } from '../ratio.ts';
import { plainRead, readLoad, type Stage, startAnother } from '../stage.ts';
import { formatDecimal } from '../table.ts';

const WORKERS = 2;

/** Reads of one process and of two that share a port. */
export async function workers(stage: Stage): Promise<Findings> {
  const { database, options, postgres } = stage;
  const { service, tokens } = await startAnother(stage, database, { WORKERS: String(WORKERS) });
  try {
    if ((await countDescendants(service.pid)) < WORKERS) {
      return {
        rows: [],
        ratios: [],
        notes: ['workers: left out, as this build of the service does not heed WORKERS.'],
      };
    }
    const rows = await takeTurns(
      'workers',
      [
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
      ],
      options,
      postgres,
    );
    const pair = [medianOf(rows, 'two workers'), medianOf(rows, 'one process')] as const;
    const [both, one] = pair.map((sample) => sample?.resident ?? Number.NaN);
    return {
      rows,
      ratios: [
        ...compare('read: processor time of the service, two workers against one process', pair, serverMicros, {
          atMost: 1.1,
        }),
        ...compare(
          'read: the same, with as many connections for each worker',
          [medianOf(rows, 'two workers, twice the connections'), pair[1]],
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
    await service.stop();
  }
}
