import { expect, test } from 'vitest';
import { tryFeed } from './feed/trial.ts';

const seed = Number(process.env.SEED ?? Math.trunc(Math.random() * 2 ** 31));
/** `npm run faults -- --only feed` takes 60. */
const { ROUNDS = '4' } = process.env;

test('a snapshot and everything after it is the state, whatever happens and whatever dies', {
  timeout: 600_000,
}, async ({ annotate }) => {
  const { faults, causes, ...counts } = await tryFeed({
    seed,
    rounds: Number(ROUNDS),
    deedsPerRound: 120,
    kills: true,
  });
  await annotate(`seed ${seed}: ${JSON.stringify(counts)} ${JSON.stringify(Object.fromEntries(causes))}`);
  expect([seed, ...faults.slice(0, 5)]).toEqual([seed]);
  expect(counts.applied).toBeGreaterThan(100);
});
