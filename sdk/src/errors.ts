import type { FieldError, ProblemCode } from '@kohort/contract';

/** The service refused, and says why. Branch on `code`. */
export class KohortError extends Error {
  override readonly name = 'KohortError';
  readonly code: ProblemCode | 'unknown';
  readonly status: number;
  readonly errors: readonly FieldError[];
  readonly request_id: string | undefined;
  /** Seconds, where the service says when to try again. */
  readonly retryAfter: number | undefined;

  constructor(message: string, answer: Omit<KohortError, keyof Error>) {
    super(message);
    this.code = answer.code;
    this.status = answer.status;
    this.errors = answer.errors;
    this.request_id = answer.request_id;
    this.retryAfter = answer.retryAfter;
  }
}

/** The service did not answer at all. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

export async function errorOf(response: Response): Promise<KohortError> {
  const body: unknown = await response.json().catch(() => undefined);
  const problem = isRecord(body) ? body : {};
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  return new KohortError(
    typeof problem.detail === 'string' ? problem.detail : `The service answered ${response.status}.`,
    {
      code: typeof problem.code === 'string' ? (problem.code as ProblemCode) : 'unknown',
      status: response.status,
      errors: Array.isArray(problem.errors) ? (problem.errors as FieldError[]) : [],
      request_id: response.headers.get('x-request-id') ?? undefined,
      retryAfter: Number.isFinite(retryAfter) ? retryAfter : undefined,
    },
  );
}
