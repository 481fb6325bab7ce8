import { type FastifyBaseLogger, type FastifyReply, type FastifyRequest, LogController } from 'fastify';

/** Of an error what a log may hold: never a message that quotes the data, as the database's do, or the path, as Fastify's do. */
export function loggable(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const fields = ['code', 'constraint', 'table', 'routine'].flatMap((name) =>
    name in error ? [[name, (error as unknown as Record<string, unknown>)[name]] as const] : [],
  );
  const frames = error.stack?.split('\n').filter((line) => /^\s+at /.test(line));
  const quotes = 'severity' in error || ('code' in error && String(error.code).startsWith('FST_'));
  const message = quotes ? undefined : error.message;
  return { type: error.name, message, ...Object.fromEntries(fields), stack: frames?.join('\n') };
}

/** One line for a fault of ours: which call, by its template, and what was in the way. */
export function logFault(request: FastifyRequest, what: string, error: unknown, code = 'internal'): void {
  const { url: route } = request.routeOptions;
  request.server.log.error({ request_id: request.id, method: request.method, route, code, err: loggable(error) }, what);
}

/** No line for each request, nor for a client that leaves; one for an answer that we could not finish. */
export class FaultsOnly extends LogController {
  constructor() {
    super({ disableRequestLogging: true });
  }

  override streamError(error: Error & { code?: string }, request: FastifyRequest, _reply: FastifyReply): void {
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') logFault(request, 'answer broke off', error);
  }
}

/**
 * What the framework says of a request goes through this: where it said it, not what. Its words quote the path, and a path
 * may be a credential (the link of a report) or hold an external id.
 */
export function wordless(logger: FastifyBaseLogger): FastifyBaseLogger {
  const complain =
    (level: 'warn' | 'error' | 'fatal') =>
    (first?: unknown): void => {
      const { err } = (typeof first === 'object' && first !== null && 'err' in first ? first : {}) as { err?: unknown };
      const error = [err, first].find((one) => one instanceof Error) ?? new Error('the framework complains');
      logger[level]({ err: loggable(error) }, 'the framework complains');
    };
  const quiet = () => undefined;
  const found: FastifyBaseLogger = {
    level: logger.level,
    fatal: complain('fatal'),
    error: complain('error'),
    warn: complain('warn'),
    info: quiet,
    debug: quiet,
    trace: quiet,
    silent: quiet,
    child: () => found,
  };
  return found;
}
