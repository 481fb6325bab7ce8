import { DeadlineExceeded, KohortError, Unreachable } from '../errors.ts';

/** What scripts can rely on. */
export const exits = { done: 0, failed: 1, usage: 2, unreachable: 3 } as const;

/** A mistake in how the command was called. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

function isUsage(error: unknown): boolean {
  // parseArgs has codes for what it does not know.
  return (
    error instanceof UsageError ||
    (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'))
  );
}

/** The exit code of a failure. */
export function codeOf(error: unknown): number {
  if (isUsage(error)) return exits.usage;
  if (error instanceof Unreachable || error instanceof DeadlineExceeded) return exits.unreachable;
  if (error instanceof KohortError) {
    return error.status === 401 || error.status === 403 || error.status >= 429 ? exits.unreachable : exits.usage;
  }
  return exits.failed;
}

/** The failure as one line, with a hint if there is one. */
export function explain(error: unknown, hint: string | undefined): string {
  const message = error instanceof Error ? error.message : String(error);
  return hint === undefined ? `${message}\n` : `${message}\n${hint}\n`;
}

/** Runs a command and exits with its code. A failure is one line on standard error. */
export async function main(
  command: () => Promise<number>,
  usage: string,
  hintFor: (error: unknown) => string | undefined,
): Promise<void> {
  try {
    process.exitCode = await command();
  } catch (error) {
    process.exitCode = codeOf(error);
    process.stderr.write(explain(error, hintFor(error)));
    if (isUsage(error)) process.stderr.write(`${usage}\n`);
  }
}
