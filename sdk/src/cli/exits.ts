import { KohortError, Unreachable } from '../errors.ts';

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

function codeOf(error: unknown): number {
  if (isUsage(error)) return exits.usage;
  if (error instanceof Unreachable) return exits.unreachable;
  if (error instanceof KohortError) {
    return error.status === 401 || error.status === 403 || error.status >= 429 ? exits.unreachable : exits.usage;
  }
  return exits.failed;
}

/** Runs a command and leaves with its exit code; what goes wrong is one line on standard error. */
export async function main(
  command: () => Promise<number>,
  usage: string,
  hintFor: (error: unknown) => string | undefined,
): Promise<void> {
  try {
    process.exitCode = await command();
  } catch (error) {
    process.exitCode = codeOf(error);
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    const hint = hintFor(error);
    if (hint !== undefined) process.stderr.write(`${hint}\n`);
    if (isUsage(error)) process.stderr.write(`${usage}\n`);
  }
}
