import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';

const LOOK_EVERY_MS = 40;

/** The average number of statements by wait event; `a processor` for those that ran or could have run. */
export type Waits = Readonly<Record<string, number>>;

/** Samples an application's statements. The returned function stops it and reports. */
export function watchWaits(
  client: pg.Client,
  { application, database }: { readonly application: string; readonly database: string },
): () => Promise<Waits> {
  const seen: Record<string, number> = {};
  let looks = 0;
  let isOver = false;

  async function look(): Promise<void> {
    const { rows } = await client.query<{ wait: string; count: number }>({
      name: 'waits',
      text: `
        SELECT coalesce(wait_event, 'a processor') AS wait, count(*)::int AS count FROM pg_stat_activity
        WHERE application_name = $1 AND datname = $2 AND state IN ('active', 'fastpath function call')
        GROUP BY 1`,
      values: [application, database],
    });
    looks++;
    for (const { wait, count } of rows) seen[wait] = (seen[wait] ?? 0) + count;
  }

  const looking = (async () => {
    for (; !isOver; await sleep(LOOK_EVERY_MS)) await look();
  })();
  // A failure is reported when sampling ends.
  looking.catch(() => undefined);
  return async () => {
    isOver = true;
    await looking;
    return Object.fromEntries(Object.entries(seen).map(([wait, count]) => [wait, count / looks]));
  };
}

/** The mean of each wait over all rounds. */
export function meanWaits(rounds: readonly Waits[]): Waits {
  const names = new Set(rounds.flatMap((waits) => Object.keys(waits)));
  const mean = (name: string) => rounds.reduce((sum, waits) => sum + (waits[name] ?? 0), 0) / rounds.length;
  return Object.fromEntries(Array.from(names, (name) => [name, mean(name)]));
}
