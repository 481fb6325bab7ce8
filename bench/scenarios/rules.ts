import { atEnd } from '@kohort/testkit/processes.ts';
import { finishLoading, prepareForLoading } from '../dataset.sql.ts';
import { fill } from '../dataset.ts';
import { type Contestant, openedAgain, takeTurns } from '../measure.ts';
import { compare, type Findings, micros, rate, rowOf } from '../ratio.ts';
import type { Service } from '../service.ts';
import { plainRead, readLoad, type Stage, startAnother } from '../stage.ts';
import { type Walk, walkLoad, walkPastTwice } from '../walk.ts';
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

interface NewUsers {
  readonly name: string;
  readonly database: string;
  readonly strangers: Walk;
  readonly started: { readonly service: Service; readonly tokens: string };
}

/** Reads of users who were not read since the last change of a segment, which comes before each round. */
function readNewUsers({ options }: Stage, { name, database, strangers, started }: NewUsers) {
  const { service, tokens } = started;
  const walk = walkLoad(strangers, options, tokens);
  let repeated = false;
  const load = async (seconds: number) => {
    const outcome = await walk.load(service, seconds);
    repeated ||= walk.isThrough();
    return outcome;
  };
  const startAgain = async () => {
    await makeAllNew(service);
    walk.from(0);
  };
  const contestant: Contestant = {
    name,
    target: () => service,
    connection: { application: 'kohort', database },
    load,
    before: startAgain,
    async warmUp() {
      for (let i = 0; i < WARM_UPS; i++) {
        await startAgain();
        await load(options.warmUp);
      }
    },
  };
  return { contestant, wasRepeated: () => repeated };
}

/**
 * The plain read beside reads with 50 percentages and 50 conditions, of users seen before. And the same of new users, for which both
 * databases have the same users: what a read takes depends on how many there are.
 */
export async function rules(stage: Stage): Promise<Findings> {
  const { options, postgres, dataset } = stage;
  const strangers: Walk = {
    first: 2 * dataset.users + 1,
    users: (1 + Math.max(options.seconds, options.warmUp)) * NEW_USERS_PER_S,
  };
  const drops = [DATABASE, PLAIN_DATABASE].map((database) => atEnd(() => postgres.drop(database)));
  const services: Service[] = [];
  const start = async (database: string) => {
    const started = await startAnother(stage, database);
    services.push(started.service);
    return started;
  };
  try {
    for (const database of [DATABASE, PLAIN_DATABASE]) await postgres.drop(database);
    await addStrangers(stage, strangers);
    const { service, tokens } = await start(DATABASE);
    await defineRules(service);
    const plainOfNew = readNewUsers(stage, {
      name: PLAIN_OF_NEW,
      database: PLAIN_DATABASE,
      strangers,
      started: await start(PLAIN_DATABASE),
    });
    const ofNew = readNewUsers(stage, { name: NEW, database: DATABASE, strangers, started: await start(DATABASE) });
    const seeAll = () => walkPastTwice(service, { first: 1, users: dataset.users }, options, tokens);
    const rows = await takeTurns(
      'rules',
      [
        openedAgain(plainRead(stage, PLAIN)),
        {
          name: SEEN,
          target: () => service,
          connection: { application: 'kohort', database: DATABASE },
          load: readLoad(stage, service, { tokens }),
          before: seeAll,
          warmUp: seeAll,
        },
        openedAgain(plainOfNew.contestant),
        openedAgain(ofNew.contestant),
      ],
      options,
      postgres,
    );
    return findingsOf(rows, plainOfNew.wasRepeated() || ofNew.wasRepeated());
  } finally {
    await Promise.allSettled(services.map((service) => service.stop()));
    await Promise.allSettled(drops.map((drop) => drop()));
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
