import { atEnd } from '@kohort/testkit/processes.ts';
import { finishLoading, prepareForLoading } from '../dataset.sql.ts';
import { fill } from '../dataset.ts';
import { type Contestant, takeTurns } from '../measure.ts';
import { compare, type Findings, micros, rate, rowOf } from '../ratio.ts';
import type { Service } from '../service.ts';
import { plainRead, readLoad, type Stage, startAnother } from '../stage.ts';
import { type Walk, walkLoad, walkPast } from '../walk.ts';
import { ruleDefinitions } from './rules.definitions.ts';

const DATABASE = 'kohort_bench_rules';
/** The same users without the rules. */
const PLAIN_DATABASE = 'kohort_bench_no_rules';
/** More than the expected reads a second of users that were never read before. */
const NEW_USERS_PER_S = 50_000;
/** How much longer services are warmed up whose users are new: at first they compile more than they answer. */
const WARM_UPS = 4;

const PLAIN = 'plain read';
const SEEN = '50 + 50 rules, users seen before';
const PLAIN_OF_NEW = 'plain read, every user new';
const NEW = '50 + 50 rules, every user new';

async function defineRules(service: Service): Promise<void> {
  for (const rule of ruleDefinitions()) await service.call('POST', '/api/segments', rule);
}

/** Makes all users new: a service remembers no answer from before a change of a segment. */
async function makeAllNew(service: Service): Promise<void> {
  await service.call('PATCH', '/api/segments/SEGMENT_1', { description: `Changed at ${Date.now()}` });
}

/** Fills the databases with and without rules. */
async function addStrangers({ postgres, dataset }: Stage, strangers: Walk): Promise<void> {
  await postgres.create(PLAIN_DATABASE, dataset.database);
  await postgres.connected(PLAIN_DATABASE, async (client) => {
    await prepareForLoading(client);
    const to = strangers.first + strangers.users - 1;
    await fill(client, { from: strangers.first, to }, { members: true, what: 'users never asked about' });
    await finishLoading(client);
  });
  await postgres.create(DATABASE, PLAIN_DATABASE);
}

/** Reads of users who were not read since the last change of a segment, which comes before each round. */
async function readNewUsers(
  stage: Stage,
  { name, database, strangers }: { readonly name: string; readonly database: string; readonly strangers: Walk },
): Promise<{ readonly contestant: Contestant; readonly service: Service; readonly wasRepeated: () => boolean }> {
  const { options } = stage;
  const { service, tokens } = await startAnother(stage, database);
  const walk = walkLoad(strangers, options, tokens);
  let repeated = false;
  const load = async (seconds: number) => {
    const outcome = await walk.load(service, seconds);
    repeated ||= walk.isThrough();
    return outcome;
  };
  const before = async () => {
    await makeAllNew(service);
    walk.from(0);
  };
  const warmUp = async () => {
    for (let i = 0; i < WARM_UPS; i++) {
      await before();
      await load(options.warmUp);
    }
  };
  const connection = { application: 'kohort', database };
  return {
    contestant: { name, target: () => service, connection, load, before, warmUp },
    service,
    wasRepeated: () => repeated,
  };
}

/**
 * The plain read beside reads with 50 percentages and 50 conditions, of users seen before. And the same of new users, for which both
 * databases have the same users: what a read takes depends on how many there are.
 */
export async function rules(stage: Stage): Promise<Findings> {
  const { options, postgres, dataset } = stage;
  const strangers: Walk = {
    first: 2 * dataset.users + 1,
    users: Math.max(options.seconds, options.warmUp) * NEW_USERS_PER_S,
  };
  const dropBoth = async () => {
    for (const database of [DATABASE, PLAIN_DATABASE]) await postgres.drop(database);
  };
  await dropBoth();
  const drop = atEnd(dropBoth);
  await addStrangers(stage, strangers);
  const { service, tokens } = await startAnother(stage, DATABASE);
  await defineRules(service);
  const seeAll = () => walkPast(service, { first: 1, users: dataset.users }, options, tokens);
  const plain = await readNewUsers(stage, { name: PLAIN_OF_NEW, database: PLAIN_DATABASE, strangers });
  const ruled = await readNewUsers(stage, { name: NEW, database: DATABASE, strangers });
  try {
    const rows = await takeTurns(
      'rules',
      [
        plainRead(stage, PLAIN),
        {
          name: SEEN,
          target: () => service,
          connection: { application: 'kohort', database: DATABASE },
          load: readLoad(stage, service, { tokens }),
          before: seeAll,
          warmUp: seeAll,
        },
        plain.contestant,
        ruled.contestant,
      ],
      options,
      postgres,
    );
    return findingsOf(rows, plain.wasRepeated() || ruled.wasRepeated());
  } finally {
    for (const one of [service, plain.service, ruled.service]) await one.stop();
    await drop();
  }
}

function findingsOf(rows: Findings['rows'], repeated: boolean): Findings {
  const [plain, seen, plainOfNew, ofNew] = [PLAIN, SEEN, PLAIN_OF_NEW, NEW].map((name) => rowOf(rows, name));
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
        'read with 50 + 50 rules, every user new, against the plain read of the same users: processor time',
        [ofNew, plainOfNew],
        micros,
        { atMost: 2 },
      ),
      ...compare('the same against the plain read of fewer users, seen before', [ofNew, plain], micros, {}),
      ...compare(
        'read with 50 + 50 rules, every user new, against the plain read of the same users: requests/s',
        [ofNew, plainOfNew],
        rate,
        {},
      ),
    ],
    notes: repeated ? ['rules: there were too few new users, so that some were asked about twice.'] : [],
  };
}
