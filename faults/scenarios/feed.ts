import { type Lags, type LargeChange, measureLags } from '../feed/lags.ts';
import { tryFeed } from '../feed/trial.ts';
import { quantile, type Row, type Scenario } from '../report.ts';

const minuteMs = 60_000;
const singleWithinMs = 2_000;

const figures = (lags: readonly number[]) =>
  `median ${Math.round(quantile(lags, 0.5))} ms, at most ${Math.round(Math.max(...lags))} ms (${lags.length})`;

function lagRow(scenario: string, promised: string, lags: readonly number[]): Row {
  return { scenario, times: lags.length, promised, seen: figures(lags), held: Math.max(...lags) <= singleWithinMs };
}

function largeRow(what: string, { users }: Lags, { changes, ms, single }: LargeChange): Row {
  const beside = single.length === 0 ? 'no single change meanwhile' : `single changes meanwhile: ${figures(single)}`;
  return {
    scenario: `Feed: ${what}`,
    times: 1,
    promised: 'published within a minute per million users, single changes meanwhile within 2 s',
    seen: `${changes} changes published after ${(ms / 1_000).toFixed(1)} s; ${beside}`,
    held: ms <= Math.max(singleWithinMs, (users / 1_000_000) * minuteMs) && Math.max(0, ...single) <= singleWithinMs,
  };
}

/** Followers stay exact through changes and kills; measures how far they lag behind. */
export const feed: Scenario = async ({ quick, seed }) => {
  const rounds = quick ? 8 : 60;
  const { deeds, kills, applied, comparisons, causes, faults } = await tryFeed({
    seed,
    rounds,
    deedsPerRound: 150,
    kills: true,
  });
  const kinds = [...causes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([what, count]) => `${what} ${count}`);
  const lags = await measureLags(quick ? 100_000 : 1_000_000);
  return [
    {
      scenario: 'Feed: random changes on two instances, kills of them and of PostgreSQL',
      times: rounds,
      promised: 'a snapshot and everything after it is the state; the same id is the same change; in order',
      seen: `${deeds} deeds, ${kills} kills, ${applied} changes followed by pull, events and webhook, ${comparisons} comparisons, ${faults.length} faults ${faults.slice(0, 3).join('; ')} (${kinds.join(', ')})`,
      held: faults.length === 0,
    },
    lagRow('Feed: a single change', 'published within 2 s of its answer', lags.single),
    lagRow('Feed: an expiry', 'published within 2 s of its moment', lags.expiry),
    largeRow(`a definition over ${lags.users} users`, lags, lags.definition),
    largeRow(`an import of ${lags.users} members`, lags, lags.import),
  ];
};
