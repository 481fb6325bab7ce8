import { takeTurns } from '../measure.ts';
import { type Findings, medianOf } from '../ratio.ts';
import type { Stage } from '../stage.ts';
import { formatCount } from '../table.ts';
import { drive } from '../wrk.ts';

/** One call that asks about 100 random users. */
export async function resolve({ service, database, dataset, tokens, options, postgres }: Stage): Promise<Findings> {
  const rows = await takeTurns(
    'resolve',
    [
      {
        name: 'Kohort',
        target: () => service,
        connection: { application: 'kohort', database },
        load: (seconds) =>
          drive({
            script: 'resolve',
            url: service.url,
            seconds,
            connections: options.connections,
            env: { USERS: dataset.users, TOKENS: tokens },
          }),
      },
    ],
    options,
    postgres,
  );
  const users = (medianOf(rows, 'Kohort')?.rate ?? 0) * 100;
  return { rows, ratios: [], notes: [`resolve: each call asks about 100 users, so ${formatCount(users)} users/s.`] };
}
