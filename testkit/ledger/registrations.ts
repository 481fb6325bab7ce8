import type pg from 'pg';
import type { Ask } from '../http.ts';

/**
 * A call that is not idempotent: without an external id, each `POST /api/users` creates another user. Each call uses a unique name,
 * so the number of users of that name shows how often it was carried out.
 */
export interface Registration {
  readonly ask: Ask;
  readonly name: string;
  /** Whether it carries an Idempotency-Key, so that it may be repeated when its outcome is unknown. */
  readonly isKeyed: boolean;
}

interface Findings {
  readonly lost: readonly string[];
  readonly wrong: readonly string[];
  readonly happened: number;
  readonly vanished: number;
}

export interface Registrations {
  draw(): Registration;
  settle(registration: Registration, outcome: 'done' | 'not done' | 'unknown'): void;
  /** Counts the users of each name. Afterwards every outcome is known. */
  verify(client: pg.Client): Promise<Findings>;
}

export function createRegistrations(random: () => number, keyed: number): Registrations {
  // Two ledgers may share a database, and one may be compared with a copy of it.
  const prefix = `drill ${Math.floor(random() * 2 ** 40).toString(36)}`;
  /** How many users of each name there must be; undefined where the outcome is unknown: then one at most. */
  const wanted = new Map<string, number | undefined>();
  let drawn = 0;

  return {
    draw() {
      const name = `${prefix} ${++drawn}`;
      const isKeyed = random() < keyed;
      const headers = isKeyed ? { 'idempotency-key': name } : {};
      return { ask: { method: 'POST', path: '/api/users', body: { name }, headers }, name, isKeyed };
    },

    settle({ name }, outcome) {
      wanted.set(name, outcome === 'unknown' ? undefined : outcome === 'done' ? 1 : 0);
    },

    async verify(client) {
      const { rows } = await client.query<{ name: string; n: string }>(
        `SELECT name, count(*) AS n FROM users WHERE starts_with(name, $1) GROUP BY name`,
        [`${prefix} `],
      );
      const counts = new Map(rows.map(({ name, n }) => [name, Number(n)]));
      const lost: string[] = [];
      const wrong: string[] = [];
      let happened = 0;
      let vanished = 0;
      for (const [name, want] of wanted) {
        const is = counts.get(name) ?? 0;
        counts.delete(name);
        if (want === 1 && is === 0) lost.push(`user "${name}" is not there, and was acknowledged`);
        else if (is > 1) wrong.push(`user "${name}" was registered ${is} times by one call`);
        else if (want === 0 && is > 0) wrong.push(`user "${name}" is there, and was refused`);
        else if (want === undefined && is === 1) happened++;
        else if (want === undefined) vanished++;
        // Reported once; from then on the count must not change.
        wanted.set(name, Math.min(is, 1));
      }
      for (const name of counts.keys()) wrong.push(`user "${name}" was never asked for, or not settled`);
      return { lost, wrong, happened, vanished };
    },
  };
}
