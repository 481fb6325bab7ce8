import { availableParallelism } from 'node:os';
import { countDescendants } from '../cpu.ts';
import { takeTurns } from '../measure.ts';
import { compare, type Findings, medianOf, rate } from '../ratio.ts';
import { plainRead, readLoad, type Stage, startAnother } from '../stage.ts';

const WORKERS = 2;
/** Two workers, the load on them, and the database. */
const CORES_NEEDED = 4;

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
      ],
      options,
      postgres,
    );
    const cores = availableParallelism();
    return {
      rows,
      ratios: compare(
        'read: two workers against one',
        [medianOf(rows, 'two workers'), medianOf(rows, 'one process')],
        rate,
        { atLeast: 1.7 },
      ),
      notes:
        cores < CORES_NEEDED
          ? [
              `workers: this machine has ${cores} cores, which wrk and the database share: too few to show a second worker.`,
            ]
          : [],
    };
  } finally {
    await service.stop();
  }
}
