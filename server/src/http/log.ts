import { type FastifyBaseLogger, type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import { type LogFn, type Logger, pino } from 'pino';
import { build as pretty } from 'pino-pretty';

/** The messages of the inner errors where the error has none, as when a name has several addresses and none answers. */
function messageOf(error: Error): string {
  const within = error.message === '' && error instanceof AggregateError ? error.errors : [];
  return within.length === 0
    ? error.message
    : within.map((one) => (one instanceof Error ? one.message : '')).join('; ');
}

/**
 * The fields of an error that are safe to log. PostgreSQL's messages quote data, Fastify's quote paths, so both are dropped.
 */
export function loggable(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const fields = ['code', 'constraint', 'table', 'routine'].flatMap((name) =>
    name in error ? [[name, Reflect.get(error, name)] as const] : [],
  );
  const frames = error.stack?.split('\n').filter((line) => /^\s+at /.test(line));
  const quotes = 'severity' in error || ('code' in error && String(error.code).startsWith('FST_'));
  const message = quotes ? undefined : messageOf(error);
  return { type: error.name, message, ...Object.fromEntries(fields), stack: frames?.join('\n') };
}

export interface LogSettings {
  readonly level: string;
  /** By default standard output: readable lines on a terminal, JSON elsewhere. */
  readonly logTo?: { write(line: string): void } | undefined;
}

const warn = 40;
/** Marks the logger that Fastify itself writes to. */
const ofFramework = Symbol('of the framework');

/**
 * Replaces Fastify's log messages. They quote the path, which may be a credential (the link of a report) or contain an external
 * id. The address is announced once the service serves.
 */
function logMethod(this: Logger, args: Parameters<LogFn>, method: LogFn, level: number): void {
  const [first] = args as readonly unknown[];
  if (ofFramework in this) {
    if (level < warn) return;
    const nested = typeof first === 'object' && first !== null && 'err' in first ? first.err : undefined;
    const error = [nested, first].find((one) => one instanceof Error) ?? new Error('fastify error');
    method.call(this, { err: error }, 'fastify error');
  } else if (typeof first !== 'string' || !first.startsWith('Server listening')) {
    method.apply(this, args);
  }
}

export function createLog({ level, logTo }: LogSettings): Logger {
  const readable = process.stdout.isTTY
    ? pretty({ ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss', sync: true })
    : undefined;
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      serializers: { err: loggable },
      hooks: { logMethod },
    },
    logTo ?? readable ?? pino.destination({ fd: 1, sync: true }),
  );
}

/** The framework's logger. One serves all requests, because our log lines name their request themselves. */
export function frameworkLog(log: Logger): FastifyBaseLogger {
  return Object.assign(log.child({}), { [ofFramework]: true });
}

/** Logs one line for an internal error, with the call's template and the error. */
export function logFault(request: FastifyRequest, what: string, error: unknown, code = 'internal'): void {
  const { url: route } = request.routeOptions;
  request.server.log.error({ request_id: request.id, method: request.method, route, code, err: error }, what);
}

/** Logs nothing per request or for a client that leaves, and one line for an answer that could not be finished. */
export class FaultsOnly extends LogController {
  constructor() {
    super({ disableRequestLogging: true });
  }

  override streamError(error: Error & { code?: string }, request: FastifyRequest, _reply: FastifyReply): void {
    const hasLeft = error.code === 'ERR_STREAM_PREMATURE_CLOSE' || request.raw.socket.errored === error;
    if (!hasLeft) logFault(request, 'answer broke off', error);
  }
}
