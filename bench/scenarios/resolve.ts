import { takeTurns } from '../measure.ts';
import { databaseMicros, type Findings, reach, rowOf, serverMicros } from '../ratio.ts';
import type { Stage } from '../stage.ts';
import { formatCount } from '../table.ts';
import { drive } from '../wrk.ts';

/** As `load/resolve.lua` has it. */
const CALL_USERS = 100;

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
  const ours = rowOf(rows, 'Kohort');
  return {
    rows,
    ratios: [
      ...reach('resolve: µs of the service for each user', ours, (sample) => serverMicros(sample) / CALL_USERS, {
        atMost: 6,
      }),
      ...reach('resolve: µs of the database for each user', ours, (sample) => databaseMicros(sample) / CALL_USERS, {
        atMost: 5,
      }),
    ],
    notes: [
      `resolve: each call asks about ${CALL_USERS} users, so ${formatCount((ours?.median.rate ?? 0) * CALL_USERS)} users/s.`,
    ],
  };
}
