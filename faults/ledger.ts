import type pg from 'pg';
import type { Ask } from './http.ts';

/**
 * What an override is: `out`, or mode and end. Each write that sets an end sets one of its own, so the state names the write
 * that made it: one that is missing, or was done twice, or came late shows.
 */
type State = string;

export interface Pair {
  readonly user: number;
  readonly externalId: string;
  readonly slug: string;
  readonly segmentId: number;
  state: State;
  /** History rows there must be. */
  rows: number;
  /** Grows with each write; a read that saw no growth saw a settled pair. */
  version: number;
  busy: boolean;
}

interface Change {
  readonly pair: Pair;
  readonly from: State;
  readonly to: State;
}

/** One write: what it asks, and what it makes of its pairs, all or nothing. */
export interface Write {
  readonly ask: Ask;
  readonly changes: readonly Change[];
}

export interface Verdict {
  /** Acknowledged writes that are not there, or states that nobody asked for. */
  readonly lost: readonly string[];
  /** Writes that happened in part, or more than once, or although they were refused. */
  readonly wrong: readonly string[];
  /** Pairs whose state is not the fold of their history, and rows that cannot follow the one before. */
  readonly unfolded: number;
  /** Writes of unknown outcome that turned out to have happened, and not to have. */
  readonly happened: number;
  readonly vanished: number;
}

const OUT = 'out';
const DAY = 86_400_000;

function stateOf(mode: string, until: string | null): State {
  return until === null ? mode : `${mode} until ${until}`;
}

export interface Ledger {
  readonly slugs: readonly string[];
  /** A random write on pairs that nobody is writing; undefined when all are taken. Its pairs are busy until it is settled. */
  draw(): Write | undefined;
  settle(write: Write, outcome: 'done' | 'not done' | 'unknown'): void;
  /** What a user's includes must be, where that is certain right now. */
  expected():
    | { readonly user: number; readonly pairs: readonly Pair[]; readonly versions: readonly number[] }
    | undefined;
  /** Holds the ledger against the database. Nothing may be under way. What was unknown is known afterwards. */
  verify(client: pg.Client): Promise<Verdict>;
}

export interface LedgerOptions {
  readonly users: readonly { readonly id: number; readonly externalId: string }[];
  readonly segments: readonly { readonly id: number; readonly slug: string }[];
  /** From 0 to 1. */
  readonly random: () => number;
}

export function createLedger({ users, segments, random }: LedgerOptions): Ledger {
  const pairsOf = users.map(({ id, externalId }) =>
    segments.map(
      (segment): Pair => ({
        user: id,
        externalId,
        slug: segment.slug,
        segmentId: segment.id,
        state: OUT,
        rows: 0,
        version: 0,
        busy: false,
      }),
    ),
  );
  const unknown = new Set<Write>();
  let drawn = 0;

  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  const until = () => new Date(Date.now() + DAY + ++drawn * 7).toISOString();

  function writeTo(pair: Pair, others: readonly Pair[]): Write {
    const { state, slug } = pair;
    const name = random() < 0.5 ? String(pair.user) : `ext:${pair.externalId}`;
    const path = `/api/users/${name}/segments`;
    const one = (ask: Ask, to: State): Write => ({ ask, changes: [{ pair, from: state, to }] });
    // To remove somebody who is excluded changes nothing: they are out already.
    const removed = state.startsWith('exclude') ? state : OUT;
    const other = pick(others);
    switch (Math.floor(random() * (other ? 8 : 7))) {
      case 0:
        return one({ method: 'POST', path, body: { slug } }, 'include');
      case 1:
      case 2: {
        const end = until();
        return one({ method: 'POST', path, body: { slug, expires_at: end } }, stateOf('include', end));
      }
      case 3:
        return one({ method: 'DELETE', path: `${path}/${slug}` }, removed);
      case 4: {
        const end = until();
        return one(
          { method: 'PUT', path: `${path}/${slug}`, body: { mode: 'include', expires_at: end } },
          stateOf('include', end),
        );
      }
      case 5: {
        const end = until();
        return one(
          { method: 'PUT', path: `${path}/${slug}`, body: { mode: 'exclude', expires_at: end } },
          stateOf('exclude', end),
        );
      }
      case 6:
        return one({ method: 'PUT', path: `${path}/${slug}`, body: { mode: 'auto' } }, OUT);
      default: {
        const end = until();
        const add = [slug, ...(other ? [other.slug] : [])].map((one) => ({ slug: one, expires_at: end }));
        const changes = [pair, ...(other ? [other] : [])].map((each) => ({
          pair: each,
          from: each.state,
          to: stateOf('include', end),
        }));
        return { ask: { method: 'PATCH', path, body: { add } }, changes };
      }
    }
  }

  function draw(): Write | undefined {
    for (let attempt = 0; attempt < 20; attempt++) {
      const pairs = pick(pairsOf) ?? [];
      const free = pairs.filter(({ busy }) => !busy);
      const pair = pick(free);
      if (!pair) continue;
      const write = writeTo(
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

  function apply({ changes }: Write): void {
    for (const { pair, from, to } of changes) {
      pair.state = to;
      if (from !== to) pair.rows++;
    }
  }

  function settle(write: Write, outcome: 'done' | 'not done' | 'unknown'): void {
    // What is unknown may still happen: nobody writes to its pairs until the database was asked.
    if (outcome === 'unknown') return void unknown.add(write);
    if (outcome === 'done') apply(write);
    for (const { pair } of write.changes) pair.busy = false;
  }

  async function verify(client: pg.Client): Promise<Verdict> {
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
    const actual = ({ user, segmentId }: Pair) => ({
      state: states.get(key(user, segmentId)) ?? OUT,
      rows: counts.get(key(user, segmentId)) ?? 0,
    });
    const lost: string[] = [];
    const wrong: string[] = [];
    let happened = 0;
    let vanished = 0;

    for (const write of unknown) {
      const seen = write.changes.map(({ pair, from, to }) => {
        const { state, rows } = actual(pair);
        if (from === to) return state === to ? 'either' : 'neither';
        if (state === to && rows === pair.rows + 1) return 'done';
        return state === from && rows === pair.rows ? 'not done' : 'neither';
      });
      if (seen.includes('neither') || (seen.includes('done') && seen.includes('not done'))) {
        wrong.push(`${write.ask.method} ${write.ask.path} ${JSON.stringify(write.ask.body)}: ${seen.join(' and ')}`);
      } else if (seen.includes('done')) happened++;
      else vanished++;
      if (seen.includes('done')) apply(write);
      for (const { pair } of write.changes) pair.busy = false;
    }
    unknown.clear();

    for (const pair of pairsOf.flat()) {
      const { state, rows } = actual(pair);
      const name = `user ${pair.user} in ${pair.slug}`;
      if (state !== pair.state) lost.push(`${name} is "${state}", acknowledged was "${pair.state}"`);
      else if (rows !== pair.rows) wrong.push(`${name} has ${rows} history rows instead of ${pair.rows}`);
      pair.state = state;
      pair.rows = rows;
    }
    return { lost, wrong, unfolded: await countUnfolded(client), happened, vanished };
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

/** Pairs whose state is not the fold of their history, and history rows that cannot follow the row before them. */
export async function countUnfolded(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ gaps: string; breaks: string }>(`
    WITH last AS (SELECT DISTINCT ON (user_id, segment_id) * FROM history ORDER BY user_id, segment_id, seq DESC),
    gaps AS (
      SELECT FROM memberships m FULL JOIN (SELECT * FROM last WHERE op IN ('add', 'update')) l USING (user_id, segment_id)
      WHERE m.user_id IS NULL OR l.op IS NULL OR (m.mode, m.expires_at) IS DISTINCT FROM (l.mode, l.expires_at)
    ),
    breaks AS (
      SELECT FROM (
        SELECT op, at, lag(op) OVER pair AS before_op, lag(at) OVER pair AS before_at
        FROM history WINDOW pair AS (PARTITION BY user_id, segment_id ORDER BY seq)
      ) h
      WHERE (op = 'add') <> (before_op IS NULL OR before_op IN ('remove', 'expire')) OR at < before_at
    )
    SELECT (SELECT count(*) FROM gaps) AS gaps, (SELECT count(*) FROM breaks) AS breaks`);
  return Number(rows[0]?.gaps) + Number(rows[0]?.breaks);
}
