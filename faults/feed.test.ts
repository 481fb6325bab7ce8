import { expect, test } from 'vitest';
import type { Apply } from './feed/followers.ts';
import { type TrialOptions, tryFeed } from './feed/trial.ts';

const seed = Number(process.env.SEED ?? Math.trunc(Math.random() * 2 ** 31));
const { ROUNDS = '6' } = process.env;

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

/** A trigger that loses what is written to a table where a condition holds. */
const losing = (table: string, condition: string) => `
  CREATE FUNCTION lose_${table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF ${condition} THEN RETURN NULL; END IF; RETURN NEW; END $$;
  CREATE TRIGGER lose BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION lose_${table}()`;

const drops: Apply = (fold, change) => {
  if (change.type === 'segment' || Number(change.id) % 11 !== 0) fold.apply(change);
};

const broken: readonly (readonly [what: string, options: Partial<TrialOptions>])[] = [
  ['a follower that drops a change at times', { apply: drops }],
  ['a service that records no overrides', { sabotage: losing('feed_events', "NEW.kind = 'override'") }],
  ['a service that records no attributes', { sabotage: losing('feed_events', "NEW.kind = 'attributes'") }],
  ['a service that records no definitions', { sabotage: losing('feed_events', "NEW.kind = 'definition'") }],
  ['a service that records no erasures', { sabotage: losing('feed_events', "NEW.kind = 'erasure'") }],
  ['a service that forgets when to look again', { sabotage: losing('feed_due', 'true') }],
  ['a service that loses a tenth of its changes', { sabotage: losing('feed_changes', 'random() < 0.1') }],
];

test.each(broken)('it finds %s', { timeout: 300_000 }, async (_, options) => {
  const { faults } = await tryFeed({
    seed,
    rounds: 4,
    deedsPerRound: 150,
    kills: false,
    withinMs: 4_000,
    ...options,
  });
  expect(faults.length).toBeGreaterThan(0);
});
