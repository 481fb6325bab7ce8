import type pg from 'pg';
import { countUnfolded } from '../fold.ts';
import { createOverrides, OUT, type Overriding, type Pair, stateOf } from './overrides.ts';
import { createRegistrations, type Registration } from './registrations.ts';

export type Write = Overriding | Registration;

export interface Verdict {
  /** Acknowledged writes that are missing, or states that no write explains. */
  readonly lost: readonly string[];
  /** Writes that happened in part, or more than once, or although they were refused. */
  readonly wrong: readonly string[];
  /** Pairs whose state is not the fold of their history, and rows that cannot follow the one before. */
  readonly unfolded: number;
  /** Writes of unknown outcome that turned out to have happened, and not to have. */
  readonly happened: number;
  readonly vanished: number;
}

/** Share of the writes that register a user. */
const registrationsShare = 0.2;

export interface Ledger {
  readonly slugs: readonly string[];
  /** A random write on idle pairs; undefined if all are busy. Its pairs are busy until it is settled. */
  draw(): Write | undefined;
  settle(write: Write, outcome: 'done' | 'not done' | 'unknown'): void;
  /** What a user's includes must be, where that is certain right now. */
  expected():
    | { readonly user: number; readonly pairs: readonly Pair[]; readonly versions: readonly number[] }
    | undefined;
  /** Compares the ledger with the database, when no write is under way. Afterwards every outcome is known. */
  verify(client: pg.Client): Promise<Verdict>;
}

export interface LedgerOptions {
  readonly users: readonly { readonly id: number; readonly externalId: string }[];
  readonly segments: readonly { readonly id: number; readonly slug: string }[];
  /** A random number from 0 to 1. */
  readonly random: () => number;
  /** Share of the registrations that carry an Idempotency-Key, from 0 to 1. */
  readonly keyed?: number;
}

function pairsOfUser({ id, externalId }: LedgerOptions['users'][number], segments: LedgerOptions['segments']): Pair[] {
  return segments.map(({ id: segmentId, slug }) => ({
    user: id,
    externalId,
    slug,
    segmentId,
    state: OUT,
    rows: 0,
    version: 0,
    busy: false,
  }));
}

type Actual = (pair: Pair) => { readonly state: string; readonly rows: number };

/** What the database says of each pair. */
async function readActual(client: pg.Client): Promise<Actual> {
  const memberships = await client.query<{
    user_id: string;
    segment_id: string;
    mode: string;
    expires_at: Date | null;
  }>('SELECT user_id, segment_id, mode, expires_at FROM memberships');
  const history = await client.query<{ user_id: string; segment_id: string; rows: string }>(
    'SELECT user_id, segment_id, count(*) AS rows FROM history GROUP BY user_id, segment_id',
  );
  const key = (user: number | string, segment: number | string) => `${user} ${segment}`;
  const states = new Map(
    memberships.rows.map((row) => [
      key(row.user_id, row.segment_id),
      stateOf(row.mode, row.expires_at?.toISOString() ?? null),
    ]),
  );
  const counts = new Map(history.rows.map((row) => [key(row.user_id, row.segment_id), Number(row.rows)]));
  return ({ user, segmentId }: Pair) => ({
    state: states.get(key(user, segmentId)) ?? OUT,
    rows: counts.get(key(user, segmentId)) ?? 0,
  });
}

/** For each change of a write whose outcome is unknown, whether it happened. */
function outcomesOf(write: Overriding, actual: Actual): string[] {
  return write.changes.map(({ pair, from, to }) => {
    const { state, rows } = actual(pair);
    if (from === to) return state === to ? 'either' : 'neither';
    if (state === to && rows === pair.rows + 1) return 'done';
    return state === from && rows === pair.rows ? 'not done' : 'neither';
  });
}

/** What is wrong with a write of which a part has happened, or something else. */
function halfDone({ ask }: Overriding, seen: readonly string[]): string | undefined {
  const isWrong = seen.includes('neither') || (seen.includes('done') && seen.includes('not done'));
  return isWrong ? `${ask.method} ${ask.path} ${JSON.stringify(ask.body)}: ${seen.join(' and ')}` : undefined;
}

/** Notes where the database differs from the ledger, which then takes over what the database says. */
function compare(
  pair: Pair,
  { state, rows }: ReturnType<Actual>,
  { lost, wrong }: { lost: string[]; wrong: string[] },
): void {
  const name = `user ${pair.user} in ${pair.slug}`;
  if (state !== pair.state) lost.push(`${name} is "${state}", acknowledged was "${pair.state}"`);
  else if (rows !== pair.rows) wrong.push(`${name} has ${rows} history rows instead of ${pair.rows}`);
  pair.state = state;
  pair.rows = rows;
}

function apply({ changes }: Overriding): void {
  for (const { pair, from, to } of changes) {
    pair.state = to;
    if (from !== to) pair.rows++;
  }
}

/** Settles the writes of unknown outcome by what the database says. */
function settleUnknown(
  unknown: Iterable<Overriding>,
  actual: Actual,
  wrong: string[],
): { happened: number; vanished: number } {
  let happened = 0;
  let vanished = 0;
  for (const write of unknown) {
    const seen = outcomesOf(write, actual);
    const fault = halfDone(write, seen);
    if (fault) wrong.push(fault);
    else if (seen.includes('done')) happened++;
    else vanished++;
    if (seen.includes('done')) apply(write);
    for (const { pair } of write.changes) pair.busy = false;
  }
  return { happened, vanished };
}

export function createLedger({ users, segments, random, keyed = 0.5 }: LedgerOptions): Ledger {
  const pairsOf = users.map((user) => pairsOfUser(user, segments));
  const unknown = new Set<Overriding>();
  const overrides = createOverrides(random);
  const registrations = createRegistrations(random, keyed);

  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];

  function draw(): Write | undefined {
    if (random() < registrationsShare) return registrations.draw();
    for (let attempt = 0; attempt < 20; attempt++) {
      const pairs = pick(pairsOf) ?? [];
      const free = pairs.filter(({ busy }) => !busy);
      const pair = pick(free);
      if (!pair) continue;
      const write = overrides.draw(
        pair,
        free.filter((one) => one !== pair),
      );
      for (const change of write.changes) {
        change.pair.busy = true;
        change.pair.version++;
      }
      return write;
    }
    return undefined;
  }

  function settle(write: Write, outcome: 'done' | 'not done' | 'unknown'): void {
    if ('name' in write) return void registrations.settle(write, outcome);
    // An unknown write may still commit, so its pairs stay busy until the database is checked.
    if (outcome === 'unknown') return void unknown.add(write);
    if (outcome === 'done') apply(write);
    for (const { pair } of write.changes) pair.busy = false;
  }

  async function verify(client: pg.Client): Promise<Verdict> {
    const actual = await readActual(client);
    const lost: string[] = [];
    const wrong: string[] = [];

    const { happened, vanished } = settleUnknown(unknown, actual, wrong);
    unknown.clear();

    for (const pair of pairsOf.flat()) compare(pair, actual(pair), { lost, wrong });
    const registered = await registrations.verify(client);
    return {
      lost: [...lost, ...registered.lost],
      wrong: [...wrong, ...registered.wrong],
      unfolded: await countUnfolded(client),
      happened: happened + registered.happened,
      vanished: vanished + registered.vanished,
    };
  }

  return {
    slugs: segments.map(({ slug }) => slug),
    draw,
    settle,
    expected() {
      const pairs = pick(pairsOf);
      const [first] = pairs ?? [];
      if (!pairs || !first || pairs.some(({ busy }) => busy)) return undefined;
      return { user: first.user, pairs, versions: pairs.map(({ version }) => version) };
    },
    verify,
  };
}
