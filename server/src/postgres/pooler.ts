import { connect } from 'node:net';
import pg from 'pg';
import { ConfigError } from '../config.ts';
import { sqlState } from './errors.ts';

const cancelRequestCode = 80_877_102;
const cancelWithinMs = 5_000;
const protocolViolation = '08P01';

function undeclaredPooler(): ConfigError {
  return new ConfigError(
    'A pooler stands before PostgreSQL and does not pass on settings of a session. Set DIRECT_DATABASE_URL to PostgreSQL itself; DATABASE_URL may then lead through a pooler in transaction mode.',
  );
}

/** PgBouncer refuses settings that a client starts its session with. */
export function refuseUndeclaredPooler(error: unknown): never {
  const isRefusal = sqlState(error) === protocolViolation && /startup parameter/.test(String(error));
  throw isRefusal ? undeclaredPooler() : error;
}

/** Refuses a pooler that is configured to ignore such settings, and so discards them: statements would run without limits. */
export async function refuseDiscardedSettings(config: pg.ClientConfig, statementTimeoutMs: number): Promise<void> {
  const client = new pg.Client({ ...config, connectionTimeoutMillis: cancelWithinMs });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ setting: string }>(
      "SELECT setting FROM pg_settings WHERE name = 'statement_timeout'",
    );
    if (Number(rows[0]?.setting) !== statementTimeoutMs) throw undeclaredPooler();
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** What a cancel request names a session by; the library's types leave it out. */
function keyOf(client: pg.ClientBase): { processId: number; secretKey: number } | undefined {
  const { processID, secretKey } = client as { processID?: unknown; secretKey?: unknown };
  return typeof processID === 'number' && typeof secretKey === 'number'
    ? { processId: processID, secretKey }
    : undefined;
}

/** Asks the server to cancel what a session runs. A pooler passes it on to the server that runs it. */
function requestCancel(client: pg.PoolClient): void {
  const key = keyOf(client);
  if (!key) return;
  const { host, port } = client;
  const socket = connect(host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port });
  socket.setTimeout(cancelWithinMs, () => socket.destroy());
  // The client's own timeout follows a little later.
  socket.on('error', () => undefined);
  const message = Buffer.alloc(16);
  message.writeInt32BE(message.length, 0);
  message.writeInt32BE(cancelRequestCode, 4);
  message.writeInt32BE(key.processId, 8);
  message.writeInt32BE(key.secretKey, 12);
  // The other side closes. PgBouncer would drop the request of a socket that is half closed.
  socket.write(message);
}

/** Has a statement cancelled that takes too long, as `statement_timeout` would where a session can have one. */
export async function cancelLate<T>(client: pg.PoolClient, work: Promise<T>, timeoutMs: number): Promise<T> {
  const timer = setTimeout(() => requestCancel(client), timeoutMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
