import { availableParallelism, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { endAll, endOnSignals, say } from '@kohort/testkit/processes.ts';
import { type Options, type Row, renderTable, type Scenario } from './report.ts';
import { backup } from './scenarios/backup.ts';
import { bare } from './scenarios/bare.ts';
import { disk } from './scenarios/disk.ts';
import { embedded } from './scenarios/embedded.ts';
import { feed } from './scenarios/feed.ts';
import { fuzz } from './scenarios/fuzz.ts';
import { greedy } from './scenarios/greedy.ts';
import { kill } from './scenarios/kill.ts';
import { load } from './scenarios/load.ts';
import { loss } from './scenarios/loss.ts';
import { network } from './scenarios/network.ts';
import { queue } from './scenarios/queue.ts';
import { replica } from './scenarios/replica.ts';
import { rolling } from './scenarios/rolling.ts';
import { soak } from './scenarios/soak.ts';
import { seededRandom } from './stage.ts';

const scenarios: Readonly<Record<string, Scenario>> = {
  kill,
  loss,
  disk,
  network,
  load,
  queue,
  replica,
  rolling,
  embedded,
  backup,
  feed,
  fuzz,
  greedy,
  soak,
  bare,
};
/** These run only when they are named. */
const LONG = ['soak', 'bare'];

const usage = `npm run faults -- [options]

  --only a,b     of: ${Object.keys(scenarios).join(', ')}; soak and bare run only when asked for
  --quick        each a little, in about five minutes
  --seed N       the chance of an earlier run (but not its timing)
  --minutes N    length of the soak (10)

Breaks what can break, on 127.0.0.1, with a PostgreSQL of its own, and says which promises held. Exit code 1 when one did not.`;

function readOptions(): { options: Options; names: readonly string[] } {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      seed: { type: 'string' },
      minutes: { type: 'string', default: '10' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  const names = values.only?.split(',') ?? Object.keys(scenarios).filter((name) => !LONG.includes(name));
  const unknown = names.filter((name) => !(name in scenarios));
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
  const minutes = Number(values.minutes);
  if (unknown.length > 0 || !Number.isInteger(seed) || !(minutes > 0 && minutes <= 120)) {
    process.stderr.write(`${usage}\n`);
    process.exit(2);
  }
  return { options: { quick: values.quick, seed, random: seededRandom(seed), minutes }, names };
}

const isStopping = endOnSignals();

const { options, names } = readOptions();
const began = performance.now();
const rows: Row[] = [];
say(`seed ${options.seed}`);
for (const name of names) {
  const scenario = scenarios[name];
  if (!scenario) continue;
  const started = performance.now();
  say(`${name} …`);
  try {
    rows.push(...(await scenario(options)));
  } catch (error) {
    if (isStopping()) break;
    const words = error instanceof Error ? (error.stack ?? error.message) : String(error);
    rows.push({
      scenario: name,
      times: 0,
      promised: '',
      seen: `THE DRILL FAILED: ${words.slice(0, 800)}`,
      held: false,
    });
  }
  // The remains of a failed drill must not disturb the next one.
  if (!isStopping()) await endAll();
  say(`${name} took ${Math.round((performance.now() - started) / 1000)} s`);
}
if (!isStopping()) {
  process.stdout.write(`\n${renderTable(rows)}\n\n`);
  const broken = rows.filter(({ held }) => held === false).length;
  say(
    `node ${process.version}, ${availableParallelism()} processors, load ${loadavg()[1]?.toFixed(1)} over five minutes`,
  );
  say(
    `${broken === 0 ? 'Every promise held' : `${broken} promises broke`}, in ${Math.round((performance.now() - began) / 1000)} s.`,
  );
  process.exit(broken === 0 ? 0 : 1);
}
