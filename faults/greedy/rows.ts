import { markdownTable, type Row } from '../report.ts';
import { type Tried, type TriedCrowd, turnLimitMs } from './try-all.ts';
import type { Witnessed } from './witness.ts';

/** No health check takes longer, on an idle machine. */
const healthLimitMs = 100;
/** If health checks take longer than this with nothing else running, the machine is not idle. */
const idleHealthMs = 20;

/** What was found with one way of running the service. */
export interface Outcome {
  readonly mode: string;
  readonly tried: readonly Tried[];
  readonly crowds: readonly TriedCrowd[];
  /** What the other caller saw while nothing else was under way. */
  readonly alone: Witnessed;
  readonly restarts: number;
}

const ms = (value: number) => (Number.isFinite(value) ? `${value.toFixed(0)} ms` : '–');

function rowOfTurns({ mode, tried, restarts }: Outcome): Row {
  const slow = tried.filter(({ longestMs }) => longestMs > turnLimitMs);
  const failed = tried.filter(({ status }) => status >= 500 && status !== 503);
  const describe = ({ operation, what, status, longestMs }: Tried) =>
    `${operation}, ${what} (${status}): ${ms(longestMs)}`;
  const longest = tried.toSorted((a, b) => b.longestMs - a.longestMs).slice(0, 1);
  return {
    scenario: `Greedy: every operation with the largest inputs it takes, and larger ones; ${mode}`,
    times: tried.length,
    promised: `no turn of the event loop over ${turnLimitMs} ms of processor time; no 500`,
    seen: [
      `longest ${longest.map(describe).join()}`,
      `${slow.length} over ${turnLimitMs} ms${slow.length === 0 ? '' : `: ${slow.map(describe).join(', ')}`}`,
      `${failed.length} answered 500`,
      `${restarts} restarts`,
    ].join('; '),
    held: slow.length === 0 && failed.length === 0 && restarts === 0,
  };
}

function rowOfCrowds({ mode, crowds }: Outcome): Row {
  const describe = ({ what, longestMs, p99, failed }: TriedCrowd) =>
    `${what}: ${ms(longestMs)}, p99 of a read beside them ${ms(p99)}, ${failed} failed`;
  return {
    scenario: `Greedy: many large calls at once; ${mode}`,
    times: crowds.length,
    promised: `no turn of the event loop over ${turnLimitMs} ms of processor time; no read of another caller fails`,
    seen: crowds.map(describe).join('; '),
    held: crowds.every(({ longestMs, failed }) => longestMs <= turnLimitMs && failed === 0),
  };
}

function rowOfHealth({ mode, tried, alone }: Outcome): Row {
  const checked = tried.flatMap(({ operation, what, beside }) => (beside ? [{ operation, what, ...beside }] : []));
  const slow = checked.filter(({ healthMost }) => healthMost > healthLimitMs);
  const longest = Math.max(0, ...checked.map(({ healthMost }) => healthMost));
  return {
    scenario: `Greedy: /healthz beside each of these inputs; ${mode}`,
    times: checked.length,
    promised: `within ${healthLimitMs} ms on an idle machine`,
    seen: [
      `at most ${ms(alone.healthMost)} alone, ${ms(longest)} beside`,
      `${slow.length} over ${healthLimitMs} ms`,
      ...slow.map(({ operation, what, healthMost }) => `${operation}, ${what}: ${ms(healthMost)}`),
      ...(alone.healthMost > idleHealthMs ? ['the machine was not idle'] : []),
    ].join('; '),
    held: alone.healthMost > idleHealthMs ? undefined : slow.length === 0,
  };
}

export function rowsOf(outcome: Outcome): Row[] {
  return [rowOfTurns(outcome), rowOfHealth(outcome), rowOfCrowds(outcome)];
}

/** For each operation, the input with the longest turn, and the worst that another caller saw beside any of its inputs. */
export function tableOf({ mode, tried, crowds }: Outcome): string {
  const worst = (all: readonly Tried[], of: (beside: Witnessed) => number) =>
    Math.max(...all.flatMap(({ beside }) => (beside && beside.calls > 0 ? [of(beside)] : [])));
  const operations = [...Map.groupBy(tried, ({ operation }) => operation).values()].map((all) => {
    const [first] = all.toSorted((a, b) => b.longestMs - a.longestMs);
    const { operation = '', what = '', longestMs = 0 } = first ?? {};
    return {
      line: [
        `${operation}, ${what}`,
        ms(longestMs),
        ms(worst(all, ({ p99 }) => p99)),
        ms(worst(all, (b) => b.healthMost)),
      ],
      longestMs,
    };
  });
  return markdownTable([
    [`Input; ${mode}`, 'Longest turn', 'p99 of reads beside', '/healthz beside, at most'],
    ...operations.toSorted((a, b) => b.longestMs - a.longestMs).map(({ line }) => line),
    ...crowds.map(({ what, longestMs, p99, healthMost }) => [what, ms(longestMs), ms(p99), ms(healthMost)]),
  ]);
}
