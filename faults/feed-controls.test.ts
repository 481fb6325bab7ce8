import { createDatabase } from '@kohort/testkit/database.ts';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { listen } from '../server/test/listen.ts';
import type { Apply } from './feed/followers.ts';
import { type Instance, type TrialOptions, tryFeed } from './feed/trial.ts';

/** The controls of feed.test.ts: whatever is broken, the comparison finds it. */
const seed = Number(process.env.SEED ?? Math.trunc(Math.random() * 2 ** 31));

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

/** In this process: what is broken here is not the process, and to start two takes longer than to find it out. */
async function startHere(databaseUrl: string, env: Readonly<Record<string, string>>): Promise<Instance> {
  const { port, stop } = await listen(databaseUrl, { mode: 'production', env });
  return { url: `http://127.0.0.1:${port}`, signal: () => false, ready: async () => undefined, stop };
}

async function tryBroken(broken: Partial<TrialOptions>): Promise<readonly string[]> {
  const { url, drop } = await createDatabase();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const database: TrialOptions['database'] = { url, connected: (work) => work(client) };
    const { faults } = await tryFeed({
      seed,
      // A trial ends with the first fault; one round in five happens to need nothing of what is broken.
      rounds: 12,
      deedsPerRound: 80,
      kills: false,
      withinMs: 2_000,
      database,
      start: startHere,
      ...broken,
    });
    return faults;
  } finally {
    await client.end();
    await drop();
  }
}

// One after another: side by side they would take turns at one processor, and on a busy machine each would take as long as all.
describe('it finds', () => {
  it.each(broken)('%s', async (_, options) => {
    expect((await tryBroken(options)).length).toBeGreaterThan(0);
  });
});
