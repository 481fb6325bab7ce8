import { warmMemory } from '../dataset.sql.ts';
import { prepareDataset } from '../dataset.ts';
import { type Contestant, takeTurns } from '../measure.ts';
import { compare, type Findings, rate, rowOf } from '../ratio.ts';
import type { Service } from '../service.ts';
import { plainRead, readLoad, type Stage, startAnother } from '../stage.ts';
import { formatCount } from '../table.ts';

const MEMBERSHIPS_PER_USER = 10;

/** Reads of the same service on datasets of growing size. */
export async function sizes(stage: Stage): Promise<Findings> {
  const { options, postgres, dataset, dataFolder: folder, newestSchema } = stage;
  if (options.sizes.length === 0) return { rows: [], ratios: [], notes: ['sizes: left out; --sizes 10,50 runs them.'] };
  const label = (memberships: number) => `${formatCount(memberships)} memberships`;
  const notes: string[] = [];
  const services: Service[] = [];
  const contestants: Contestant[] = [plainRead(stage, label(dataset.memberships))];
  try {
    for (const millions of options.sizes.toSorted((a, b) => a - b)) {
      try {
        const users = (millions * 1_000_000) / MEMBERSHIPS_PER_USER;
        const larger = await prepareDataset(postgres, { users, complete: false }, { folder, newestSchema });
        const { service, tokens } = await startAnother(stage, larger.database);
        services.push(service);
        const load = readLoad(stage, service, { tokens, users });
        contestants.push({
          name: label(larger.memberships),
          target: () => service,
          connection: { application: 'kohort', database: larger.database },
          load,
          warmUp: async () => {
            await postgres.connected(larger.database, warmMemory);
            await load(options.warmUp);
          },
        });
      } catch (error) {
        notes.push(`sizes: ${millions} M left out: ${error instanceof Error ? error.message : error}`);
      }
    }
    const rows = await takeTurns('sizes', contestants, options, postgres);
    const [smallest] = contestants;
    return {
      rows,
      ratios: contestants
        .slice(1)
        .flatMap(({ name }) =>
          compare(
            `read at ${name} against ${smallest?.name}`,
            [rowOf(rows, name), rowOf(rows, smallest?.name ?? '')],
            rate,
            { atLeast: 0.8 },
          ),
        ),
      notes,
    };
  } finally {
    for (const service of services) await service.stop();
  }
}
