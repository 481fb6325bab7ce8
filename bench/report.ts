import type { Rounds, Row, Sample } from './measure.ts';
import { type Findings, isReached, type Ratio } from './ratio.ts';
import { median } from './statistics.ts';
import { formatCount, formatDecimal, renderTable } from './table.ts';

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  /** GiB. */
  readonly memory: number;
  readonly kernel: string;
}

export interface Report {
  readonly at: string;
  /** With `-dirty` appended if the tree had changes. */
  readonly commit: string;
  readonly machine: Machine;
  readonly node: string;
  readonly postgres: string;
  readonly dataset: { readonly users: number; readonly memberships: number; readonly segments: number };
  readonly load: Rounds & { readonly connections: number };
  readonly findings: Readonly<Record<string, Findings>>;
}

function bounds({ atLeast, atMost }: Ratio): string {
  if (atLeast !== undefined) return `≥ ${atLeast}`;
  return atMost === undefined ? '' : `≤ ${atMost}`;
}

function measured(scenario: string, { contestant, median, samples, others }: Row): string[] {
  // A bound has to hold in every round, whether or not it counts.
  const errors = Math.max(...[...samples, ...others].map(({ refused, broken }) => refused + broken));
  return [
    scenario,
    contestant,
    formatCount(median.rate),
    formatDecimal(median.p50),
    formatDecimal(median.p99),
    formatCount(errors),
    `${samples.length} of ${samples.length + others.length}`,
    formatDecimal(median.serverMicros),
    formatDecimal(median.databaseMicros),
    formatDecimal(median.server),
    formatDecimal(median.database),
    formatDecimal(median.background),
    formatDecimal(median.resident),
  ];
}

const SHOWN_STATEMENTS = 0.05;

/** What statements waited for other than a processor, the longest first. */
function describeWaits({ waits }: Row['median']): string {
  const shown = Object.entries(waits).filter(([name, count]) => name !== 'a processor' && count >= SHOWN_STATEMENTS);
  const sorted = shown.toSorted(([, a], [, b]) => b - a);
  return sorted.map(([name, count]) => `${name} ${formatDecimal(count)}`).join(', ') || 'nothing';
}

function waited(scenario: string, { contestant, median }: Row): string[] {
  const statements = Object.values(median.waits).reduce((sum, count) => sum + count, 0);
  return [
    scenario,
    contestant,
    formatDecimal(median.idle),
    formatDecimal(median.serverQueued),
    formatDecimal(median.databaseQueued),
    formatDecimal(statements),
    describeWaits(median),
  ];
}

function renderWaits(all: readonly (readonly [string, Findings])[]): string {
  const table = renderTable({
    columns: [
      'Scenario',
      'Who',
      'Cores idle',
      'Server queued',
      'Database queued',
      'Statements under way',
      'of which waited for',
    ],
    rows: all.flatMap(([scenario, { rows }]) => rows.map((row) => waited(scenario, row))),
  });
  return `Where callers waited, on average over the runs. Idle cores were used by no program. Queued are threads of the server, and
connections, that were ready to run but had no core. A statement under way worked, was queued, or waited for what is named.

${table}`;
}

/** How much of the processors other machines had during the measurement: if that is much, figures of different runs cannot be compared. */
function stolenBy(all: readonly Findings[]): string {
  const shares = all.flatMap(({ rows }) =>
    rows.flatMap(({ samples, others }) => [...samples, ...others].map(({ stolen }) => stolen * 100)),
  );
  if (!shares.every(Number.isFinite) || shares.length === 0) return '';
  const [usual, most] = [median(shares), Math.max(...shares)].map((share) => Math.round(share));
  return `\n- Other machines of the same host had ${usual} % of the processors' time (median of all runs; at most ${most} %).`;
}

/** How fast the machine was, by what the probes took. */
function speedOf(all: readonly Findings[]): string {
  const probedOf = (samples: readonly Sample[]) => samples.map(({ probed }) => probed).filter(Number.isFinite);
  const counted = all.flatMap(({ rows }) => rows.flatMap(({ samples }) => probedOf(samples)));
  const others = all.flatMap(({ rows }) => rows.flatMap((row) => probedOf(row.others)));
  const best = Math.min(...counted, ...others);
  if (!Number.isFinite(best)) return '';
  const times = (probed: readonly number[]) => formatDecimal(median(probed) / best);
  const left = others.length > 0 ? `, in the ${others.length} others ${times(others)}` : '';
  return `
- Beside each run, a piece of work that needs no memory was done over and over. On average it took ${formatDecimal(best)} µs in the calmest run; in the ${counted.length} runs of the rounds that count ${times(counted)} times as long${left}.`;
}

/** The table, the targets beside the figures reached, and the notes; as Markdown. */
export function renderReport({ at, commit, machine, node, postgres, dataset, load, findings }: Report): string {
  const all = Object.entries(findings);
  const figures = renderTable({
    columns: [
      'Scenario',
      'Who',
      'Requests/s',
      'p50 ms',
      'p99 ms',
      'Errors, at most',
      'Rounds',
      'µs server',
      'µs database',
      'Cores server',
      'Cores database',
      'of it background',
      'MiB server',
    ],
    rows: all.flatMap(([scenario, { rows }]) => rows.map((row) => measured(scenario, row))),
  });
  const ratios = renderTable({
    columns: ['Figure', 'Reached', 'Least–most', 'Target', ''],
    rows: all.flatMap(([, found]) =>
      found.ratios.map((ratio) => {
        const target = bounds(ratio);
        return [
          ratio.what,
          formatDecimal(ratio.value),
          ratio.range?.map(formatDecimal).join('–') ?? '',
          target,
          target && (isReached(ratio) ? 'yes' : 'no'),
        ];
      }),
    ),
  });
  const notes = all.flatMap(([, found]) => found.notes).map((note) => `- ${note}`);
  return `# Benchmark of ${at.slice(0, 10)}, commit ${commit}

- ${machine.processor}, ${machine.cores} cores, ${machine.memory} GiB, Linux ${machine.kernel}; Node ${node}, PostgreSQL ${postgres}. Everything runs on this one machine.
- ${formatCount(dataset.users)} users with ${formatCount(dataset.memberships)} memberships in ${dataset.segments} segments, each with its history row; random users.
- ${load.connections} connections, medians of those of ${load.rounds} rounds of ${load.seconds} s that count, contestants by turns. Kohort: production mode, one process, authentication with 24 sessions and history on; the peer: neither.${speedOf(Object.values(findings))}${stolenBy(Object.values(findings))}

µs are processor time for each answer: of the server's process tree, and of the contestant's own connections to the database.

${figures}

${ratios}

${renderWaits(all)}
${notes.length > 0 ? `\n${notes.join('\n')}\n` : ''}`;
}
