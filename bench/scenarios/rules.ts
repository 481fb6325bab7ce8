import { atEnd } from '@kohort/testkit/processes.ts';
import { finishLoading, prepareForLoading } from '../dataset.sql.ts';
import { fill } from '../dataset.ts';
import { takeTurns } from '../measure.ts';
import { compare, type Findings, micros, rate, rowOf } from '../ratio.ts';
import { type Service, startService } from '../service.ts';
import { plainRead, readLoad, type Stage, startAnother } from '../stage.ts';
import { type Walk, walkLoad, walkPast } from '../walk.ts';
import { ruleDefinitions } from './rules.definitions.ts';

const DATABASE = 'kohort_bench_rules';
/** More than the expected reads a second of users that were never read before. */
const NEW_USERS_PER_S = 40_000;

async function defineRules(service: Service): Promise<void> {
  for (const rule of ruleDefinitions()) await service.call('POST', '/api/segments', rule);
}

/** The plain read beside reads with 50 percentages and 50 conditions, of users seen before and of new ones. */
export async function rules(stage: Stage): Promise<Findings> {
  const { options, postgres, dataset } = stage;
  await postgres.drop(DATABASE);
  await postgres.create(DATABASE, dataset.database);
  const drop = atEnd(() => postgres.drop(DATABASE));
  const strangers: Walk = {
    first: 2 * dataset.users + 1,
    users: (options.seconds + options.warmUp) * NEW_USERS_PER_S,
  };
  await postgres.connected(DATABASE, async (client) => {
    await prepareForLoading(client);
    const to = strangers.first + strangers.users - 1;
    await fill(client, { from: strangers.first, to }, { members: true, what: 'users never asked about' });
    await finishLoading(client);
  });
  const { service, tokens } = await startAnother(stage, DATABASE);
  await defineRules(service);

  // The service is restarted before each round, so that no user is cached.
  let forgetful = await startService({ databaseUrl: postgres.urlOf(DATABASE) });
  const newWalk = walkLoad(strangers, options, tokens);
  const seenRead = readLoad(stage, service, { tokens });
  let repeated = false;

  async function startForgetful(): Promise<void> {
    await forgetful.stop();
    forgetful = await startService({ databaseUrl: postgres.urlOf(DATABASE) });
    newWalk.from(0);
    await newWalk.load(forgetful, options.warmUp);
  }

  try {
    const connection = { application: 'kohort', database: DATABASE };
    const rows = await takeTurns(
      'rules',
      [
        plainRead(stage, 'plain read'),
        {
          name: '50 + 50 rules, users seen before',
          target: () => service,
          connection,
          load: seenRead,
          warmUp: () => walkPast(service, { first: 1, users: dataset.users }, options, tokens),
        },
        {
          name: '50 + 50 rules, every user new',
          target: () => forgetful,
          connection,
          load: async (seconds) => {
            const outcome = await newWalk.load(forgetful, seconds);
            repeated ||= newWalk.isThrough();
            return outcome;
          },
          warmUp: async () => {},
          before: startForgetful,
        },
      ],
      options,
      postgres,
    );
    return findingsOf(rows, repeated);
  } finally {
    await forgetful.stop();
    await service.stop();
    await drop();
  }
}

function findingsOf(rows: Findings['rows'], repeated: boolean): Findings {
  const plain = rowOf(rows, 'plain read');
  const seen = rowOf(rows, '50 + 50 rules, users seen before');
  const strange = rowOf(rows, '50 + 50 rules, every user new');
  return {
    rows,
    ratios: [
      ...compare(
        'read with 50 + 50 rules, users seen before, against the plain read: requests/s',
        [seen, plain],
        rate,
        {
          atLeast: 0.6,
        },
      ),
      ...compare(
        'read with 50 + 50 rules, every user new, against the plain read: processor time',
        [strange, plain],
        micros,
        { atMost: 2 },
      ),
      ...compare(
        'read with 50 + 50 rules, every user new, against the plain read: requests/s',
        [strange, plain],
        rate,
        {},
      ),
    ],
    notes: repeated ? ['rules: there were too few new users, so that some were asked about twice.'] : [],
  };
}
