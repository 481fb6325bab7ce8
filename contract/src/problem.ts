/**
 * The catalogue of problems: the stable code that clients may branch on, its status and its title. The form is RFC 9457; see
 * {@link Problem}.
 */
export const problems = {
  malformed: [400, 'The request cannot be read'],
  invalid: [400, 'The request is not valid'],
  targeting_key_missing: [400, 'The context has no targeting key'],
  invalid_context: [400, 'The context is not valid'],
  unauthenticated: [401, 'No valid credential'],
  sign_in_failed: [401, 'Sign-in failed'],
  forbidden: [403, 'Not allowed'],
  sign_up_closed: [403, 'Sign-up is closed'],
  route_unknown: [404, 'No such path'],
  user_unknown: [404, 'Unknown user'],
  segment_unknown: [404, 'Unknown segment'],
  layer_unknown: [404, 'Unknown layer'],
  account_unknown: [404, 'Unknown account'],
  key_unknown: [404, 'Unknown key'],
  report_unknown: [404, 'Unknown report'],
  job_unknown: [404, 'Unknown job'],
  feed_unknown: [404, 'Unknown feed'],
  webhook_unknown: [404, 'Unknown webhook'],
  delivery_unknown: [404, 'Unknown delivery'],
  stream_unknown: [404, 'Unknown event stream'],
  method_not_allowed: [405, 'Method not allowed'],
  request_timeout: [408, 'The request took too long to arrive'],
  username_taken: [409, 'Username taken'],
  external_id_taken: [409, 'External id taken'],
  slug_taken: [409, 'Slug taken'],
  segment_referenced: [409, 'Other segments name this one'],
  layer_overlap: [409, 'Ranges of the layer overlap'],
  layer_used: [409, 'Segments use this layer'],
  job_finished: [409, 'The job has ended'],
  job_not_undoable: [409, 'The job cannot be undone'],
  idempotency_in_flight: [409, 'The same call is under way'],
  last_admin: [409, 'The last admin cannot be removed'],
  conditions_exhausted: [409, 'Too many large conditions'],
  feeds_exhausted: [409, 'Too many feeds'],
  webhooks_exhausted: [409, 'Too many webhooks'],
  delivery_pending: [409, 'The delivery is under way'],
  resync: [410, 'Resync required'],
  version_stale: [412, 'Version is stale'],
  too_large: [413, 'Too large'],
  answer_too_large: [413, 'The answer would be too large'],
  media_type: [415, 'Unsupported media type'],
  idempotency_key_reused: [422, 'Idempotency key used for another request'],
  throttled: [429, 'Too many attempts'],
  header_too_large: [431, 'Header fields too large'],
  internal: [500, 'Internal error'],
  unavailable: [503, 'Temporarily unavailable'],
  overloaded: [503, 'Temporarily overloaded'],
  outcome_unknown: [503, 'The outcome is unknown'],
} as const satisfies Record<string, readonly [status: number, title: string]>;

export type ProblemCode = keyof typeof problems;

export interface FieldError {
  /** The place, as a JSON pointer: `/body/…`, `/query/…`, `/path/…`. */
  readonly path: string;
  readonly message: string;
}

export interface ProblemOptions {
  readonly errors?: readonly FieldError[];
  /** Seconds; becomes `Retry-After`. */
  readonly retryAfter?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** The only error that verbs throw on purpose. Its detail is shown to the client unchanged. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly code: ProblemCode;
  readonly status: number;
  readonly errors: readonly FieldError[] | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ProblemCode, detail: string, options: ProblemOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = problems[code][0];
    this.errors = options.errors;
    this.headers = {
      ...options.headers,
      ...(options.retryAfter === undefined
        ? {}
        : { 'retry-after': String(Math.max(1, Math.ceil(options.retryAfter))) }),
    };
  }
}

/** The body of a problem for one request. `message` repeats `detail` for the seed's clients. */
export function problemBody(problem: Problem, requestId: string) {
  return {
    type: `urn:kohort:problem:${problem.code}`,
    title: problems[problem.code][1],
    status: problem.status,
    detail: problem.message,
    code: problem.code,
    request_id: requestId,
    ...(problem.errors ? { errors: problem.errors } : {}),
    message: problem.message,
  };
}

/** A 400 that names one place. */
export function invalid(path: string, message: string): Problem {
  return new Problem('invalid', `${path} ${message}`, { errors: [{ path, message }] });
}
