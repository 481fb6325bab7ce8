import type { ProblemCode } from './api.ts';

/** Where a request is not valid: `/body/…`, `/query/…`, `/path/…`, as a JSON pointer. */
export interface FieldError {
  readonly path: string;
  readonly message: string;
}

/** The service refused the call. Branch on `code`. */
export class KohortError extends Error {
  override readonly name = 'KohortError';
  readonly code: ProblemCode | 'unknown';
  readonly status: number;
  readonly errors: readonly FieldError[];
  readonly request_id: string | undefined;
  /** Seconds after which to try again, if the service says so. */
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

/** The service did not answer in time; whether a change was made is not known. */
export class DeadlineExceeded extends Error {
  override readonly name = 'DeadlineExceeded';
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** Seconds until then: `Retry-After` is a number of them, or, from some proxies, a date. */
function secondsOf(retryAfter: string | null): number | undefined {
  if (retryAfter === null) return undefined;
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter);
  const at = Date.parse(retryAfter);
  return Number.isNaN(at) ? undefined : Math.max(0, (at - Date.now()) / 1000);
}

export async function errorOf(response: Response): Promise<KohortError> {
  const body: unknown = await response.json().catch(() => undefined);
  const problem = isRecord(body) ? body : {};
  return new KohortError(
    typeof problem.detail === 'string' ? problem.detail : `The service answered ${response.status}.`,
    {
      code: typeof problem.code === 'string' ? (problem.code as ProblemCode) : 'unknown',
      status: response.status,
      errors: Array.isArray(problem.errors) ? (problem.errors as FieldError[]) : [],
      request_id: response.headers.get('x-request-id') ?? undefined,
      retryAfter: secondsOf(response.headers.get('retry-after')),
    },
  );
}

/** The position in a feed is gone: it is older than the changes that are kept, or from another database. Start over with a snapshot. */
export class ResyncRequired extends Error {
  override readonly name = 'ResyncRequired';
}

/** The data of the replica is older than allowed. Its `cause` is why it receives nothing, if known. */
export class StaleReplica extends Error {
  override readonly name = 'StaleReplica';
}

/** The feed does not follow this segment, so the replica cannot answer for it. */
export class NotFollowed extends Error {
  override readonly name = 'NotFollowed';
}
