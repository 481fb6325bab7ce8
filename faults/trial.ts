import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '@kohort/testkit/cluster.ts';
import type { Ledger, Verdict } from '@kohort/testkit/ledger/ledger.ts';
import { quantile, type Row, seconds } from './report.ts';
import type { Seen } from './seen.ts';
import type { Supervised } from './service.ts';
import { verifyWhenSettled } from './stage.ts';
import type { Traffic } from './traffic.ts';

export interface Scene {
  readonly cluster: Pick<Cluster, 'connected'>;
  readonly service: Supervised;
  readonly ledger: Ledger;
  readonly traffic: Traffic;
  readonly random: () => number;
}

/** Causes the fault. Resolves when it has ended: from then on the time to recover counts. */
export interface Cause {
  readonly name: string;
  readonly strike: () => Promise<void>;
  /** How often a supervisor has to restart the service: never, unless the service itself is killed. */
  readonly restarts?: number;
  /** Milliseconds that the recovery may take, if not the usual five seconds. */
  readonly recovered?: number;
}

export interface Trial {
  readonly seen: Seen;
  readonly verdict: Verdict;
  /** Milliseconds to the first acknowledged write. */
  readonly recovery: number;
  readonly restarts: number;
}

const giveUpAfterMs = 60_000;

/** Causes the fault while writes go on, waits for the recovery, then compares the ledger with the database. */
export async function tryCause({ cluster, service, ledger, traffic, random }: Scene, cause: Cause): Promise<Trial> {
  traffic.take();
  const restarts = service.restarts();
  await sleep(400 + random() * 600);
  await cause.strike();
  const recovery = await traffic.untilAcknowledged(giveUpAfterMs);
  await sleep(200 + random() * 300);
  await traffic.pause();
  const verdict = await verifyWhenSettled(cluster, ledger);
  const trial = { seen: traffic.take(), verdict, recovery, restarts: service.restarts() - restarts };
  traffic.resume();
  return trial;
}

/** Combines all trials of one cause into one row. */
export function rowOf(cause: Cause, trials: readonly Trial[], { slowest = 4_000 } = {}): Row {
  const { recovered = 5_000 } = cause;
  const sum = (what: (trial: Trial) => number) => trials.reduce((total, trial) => total + what(trial), 0);
  const recoveries = trials.map(({ recovery }) => recovery);
  const lost = trials.flatMap(({ verdict }) => verdict.lost);
  const wrong = trials.flatMap(({ verdict }) => verdict.wrong);
  const unexpected = trials.flatMap(({ seen }) => seen.unexpected);
  const unfolded = sum(({ verdict }) => verdict.unfolded);
  const longest = Math.max(...trials.map(({ seen }) => seen.slowest));
  const restarts = sum((trial) => trial.restarts);
  const repeated = sum(({ seen }) => seen.repeated);
  const wanted = (cause.restarts ?? 0) * trials.length;
  const worst = Math.max(...recoveries);
  const faults = [
    ...(lost.length > 0 ? [`LOST ${lost.length} (${lost[0]})`] : []),
    ...(wrong.length > 0 ? [`WRONG ${wrong.length} (${wrong[0]})`] : []),
    ...(unfolded > 0 ? [`${unfolded} NOT THE FOLD`] : []),
    ...(unexpected.length > 0 ? [`UNEXPECTED ${unexpected.length} (${unexpected[0]})`] : []),
    ...(longest > slowest
      ? [`SLOWEST ${seconds(longest)} (${trials.map(({ seen }) => seen.slowestWhat).join(', ')})`]
      : []),
    ...(worst > recovered ? [`RECOVERED AFTER ${seconds(worst)}`] : []),
    ...(restarts !== wanted ? [`RESTARTED ${restarts} times, not ${wanted}`] : []),
  ];
  const counts = [
    `${sum(({ seen }) => seen.acknowledged)} acknowledged, ${lost.length} lost`,
    `${sum(({ seen }) => seen.refused + seen.unreachable)} refused, ${sum(({ seen }) => seen.unknown)} unknown (${sum(({ verdict }) => verdict.happened)} of them there)`,
    ...(repeated > 0
      ? [`${sum(({ seen }) => seen.answeredLater)} of ${repeated} answered when repeated with their key`]
      : []),
    `recovery ${seconds(quantile(recoveries, 0.5))}, at most ${seconds(worst)}`,
    `slowest answer ${seconds(longest)}`,
  ];
  return {
    scenario: cause.name,
    times: trials.length,
    promised: `nothing acknowledged lost, nothing twice, answers within ${slowest / 1000} s, recovery within ${seconds(recovered)}`,
    seen: [...faults, ...counts].join('; '),
    held: faults.length === 0,
  };
}
