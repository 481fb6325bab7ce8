import { atEnd } from '@kohort/testkit/processes.ts';
import { finishLoading, giveDates, prepareForLoading } from '../dataset.sql.ts';
import { takeTurns } from '../measure.ts';
import { compare, type Findings, rate, rowOf } from '../ratio.ts';
import type { Service } from '../service.ts';
import { plainRead, readLoad, type Stage, startAnother } from '../stage.ts';
import { formatDecimal } from '../table.ts';
import { type Walk, walkPastTwice } from '../walk.ts';
import { timedRules } from './timed.definitions.ts';

const DATABASE = 'kohort_bench_timed';
const SAMPLE_USERS = 1_000;
const PLAIN = 'plain read';
const TIMED = '50 ramps + 50 dates, users seen before';

/** The number of segments with a ramp or a date that a user is in, on average. */
async function countTimed(service: Service): Promise<number> {
  const users = Array.from({ length: SAMPLE_USERS }, (_, i) => String(1 + i));
  const segments = timedRules(0).map(({ slug }) => slug);
  const answer = await service.call('POST', '/api/resolve', { users, segments });
  return (JSON.stringify(answer).match(/"(?:RAMP|DATED)_\d+"/g) ?? []).length / SAMPLE_USERS;
}

/** The plain read beside reads with 50 ramps and 50 conditions on dates; all users were seen before. */
export async function timed(stage: Stage): Promise<Findings> {
  const { options, postgres, dataset } = stage;
  const everybody: Walk = { first: 1, users: dataset.users };
  await postgres.drop(DATABASE);
  await postgres.create(DATABASE, dataset.database);
  const drop = atEnd(() => postgres.drop(DATABASE));
  await postgres.connected(DATABASE, async (client) => {
    await prepareForLoading(client);
    await giveDates(client, { from: 1, to: dataset.users });
    await finishLoading(client);
  });
  const { service, tokens } = await startAnother(stage, DATABASE);
  try {
    for (const rule of timedRules(Date.now())) await service.call('POST', '/api/segments', rule);
    const rows = await takeTurns(
      'timed',
      [
        {
          ...plainRead(stage, PLAIN),
          warmUp: () => walkPastTwice(stage.service, everybody, options, stage.tokens),
        },
        {
          name: TIMED,
          target: () => service,
          connection: { application: 'kohort', database: DATABASE },
          load: readLoad(stage, service, { tokens }),
          warmUp: () => walkPastTwice(service, everybody, options, tokens),
        },
      ],
      options,
      postgres,
    );
    return {
      rows,
      ratios: compare(
        'read with 50 ramps + 50 dates, users seen before, against the plain read',
        [rowOf(rows, TIMED), rowOf(rows, PLAIN)],
        rate,
        { atLeast: 0.6 },
      ),
      notes: [
        `timed: a user is in ${formatDecimal(await countTimed(service))} of the 100 segments by ramp and date, on average.`,
      ],
    };
  } finally {
    await service.stop();
    await drop();
  }
}
