/** A sentence for the person who starts the service: what is wrong and what to do about it. */
export class EmbeddedError extends Error {
  override readonly name = 'EmbeddedError';
}

export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a system error, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
