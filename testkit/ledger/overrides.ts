import type { Ask } from '../http.ts';

/**
 * The state of an override: `out`, or its mode and expiry. Each write that sets an expiry uses a unique one, so a state identifies
 * the write that made it. This reveals writes that are missing, came late or happened in part.
 */
export type State = string;

export interface Pair {
  readonly user: number;
  readonly externalId: string;
  readonly slug: string;
  readonly segmentId: number;
  state: State;
  /** The number of history rows that there must be. */
  rows: number;
  /** Grows with each write. If it did not grow during a read, the read saw a settled pair. */
  version: number;
  busy: boolean;
}

export interface Change {
  readonly pair: Pair;
  readonly from: State;
  readonly to: State;
}

/** A request, and the states that it leaves its pairs in, all or nothing. It is idempotent. */
export interface Overriding {
  readonly ask: Ask;
  readonly changes: readonly Change[];
}

export const OUT = 'out';
const dayMs = 86_400_000;

export function stateOf(mode: string, until: string | null): State {
  return until === null ? mode : `${mode} until ${until}`;
}

export interface Overrides {
  /** A random write to the pair, and perhaps to one of the others, which belong to the same user. */
  draw(pair: Pair, others: readonly Pair[]): Overriding;
}

export function createOverrides(random: () => number): Overrides {
  let drawn = 0;

  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  const until = () => new Date(Date.now() + dayMs + ++drawn * 7).toISOString();

  function draw(pair: Pair, others: readonly Pair[]): Overriding {
    const { state, slug } = pair;
    const name = random() < 0.5 ? String(pair.user) : `ext:${pair.externalId}`;
    const path = `/api/users/${name}/segments`;
    const one = (ask: Ask, to: State): Overriding => ({ ask, changes: [{ pair, from: state, to }] });
    // Removing an excluded user changes nothing: they are out already.
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

  return { draw };
}
