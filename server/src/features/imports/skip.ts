import { JobFailed } from '../../jobs/queue.ts';
import type { UnknownRow } from './members.sql.ts';
import type { Prepared } from './run.ts';

/** Fails the job for rows about users who do not exist, or skips them with a warning. */
export function skipOrFail(rows: readonly UnknownRow[], isRefused: boolean): Prepared {
  const found = rows.map(({ line, message }) => ({ line, message }));
  if (isRefused && found.length > 0) throw new JobFailed(found);
  return {
    skipped: rows[0]?.all ?? 0,
    kept: 0,
    warnings: found.map((error) => ({ ...error, level: 'warning' as const })),
  };
}
