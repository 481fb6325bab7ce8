import { access, chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@kohort/embedded/free-port.ts';
import { systemUser } from '@kohort/embedded/run-as.ts';
import { eventually } from './eventually.ts';
import { type Child, startChild } from './processes.ts';
import { reap } from './reaper.ts';

const folders = ['/usr/sbin', '/usr/bin', '/usr/local/bin', '/usr/local/sbin', '/opt/homebrew/bin'];
const variable = 'TEST_POOLED_PORTS';

/** Where PgBouncer is installed; undefined where it is not. */
export async function findPgBouncer(): Promise<string | undefined> {
  for (const folder of folders) {
    const file = join(folder, 'pgbouncer');
    const isThere = await access(file).then(
      () => true,
      () => false,
    );
    if (isThere) return file;
  }
  return undefined;
}

export interface Pooler {
  readonly port: number;
  /** The address of the same database through the pooler. */
  urlOf(url: string): string;
  stop(): Promise<void>;
}

export interface PoolerOptions {
  readonly command: string;
  /** The URL of a database of the PostgreSQL behind the pooler, with user and password. */
  readonly url: string;
  readonly settings?: Readonly<Record<string, string | number>>;
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function untilUp(child: Child, port: number): Promise<void> {
  await eventually(async () => child.hasEnded() || (await takesConnections(port)));
  if (child.hasEnded()) throw new Error(`PgBouncer ended: ${JSON.stringify(await child.exit)}`);
}

/** Starts a PgBouncer in transaction mode in front of a PostgreSQL on the loopback, for all of its databases. */
export async function startPooler({ command, url, settings = {} }: PoolerOptions): Promise<Pooler> {
  const target = new URL(url);
  const identity = await systemUser();
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), 'kohort-pooler-'));
  reap({ folder });
  await chmod(folder, 0o755);
  const users = join(folder, 'users.txt');
  await writeFile(users, `"${target.username}" "${decodeURIComponent(target.password)}"\n`, { mode: 0o600 });
  if (identity) await chown(users, identity.uid, identity.gid);
  const lines = Object.entries({
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'scram-sha-256',
    auth_file: users,
    pool_mode: 'transaction',
    max_client_conn: 1_000,
    default_pool_size: 20,
    server_login_retry: 1,
    ...(identity && { user: 'postgres' }),
    ...settings,
  }).map(([name, value]) => `${name} = ${value}`);
  const file = join(folder, 'pgbouncer.ini');
  const databases = `[databases]\n* = host=${target.hostname} port=${target.port}\n`;
  await writeFile(file, `${databases}[pgbouncer]\n${lines.join('\n')}\n`);
  const child = await startChild({ command, args: ['-q', file] });
  await untilUp(child, port);
  return {
    port,
    urlOf(direct) {
      const pooled = new URL(direct);
      pooled.port = String(port);
      return pooled.href;
    },
    async stop() {
      await child.kill('SIGTERM');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** From now on {@link databaseEnv} sends services to the pooler on one port instead of to PostgreSQL on the other. */
export function leadThroughPooler(ports: { readonly postgres: number; readonly pooler: number }): void {
  process.env[variable] = `${ports.postgres}:${ports.pooler}`;
}

/** The environment with which a service reaches the database at `url`: directly, or through the pooler of this run. */
export function databaseEnv(url: string): Readonly<Record<string, string>> {
  const [postgres, pooler] = process.env[variable]?.split(':') ?? [];
  if (postgres === undefined || pooler === undefined || !URL.canParse(url)) return { DATABASE_URL: url };
  const pooled = new URL(url);
  if (pooled.port !== postgres) return { DATABASE_URL: url };
  pooled.port = pooler;
  return { DATABASE_URL: pooled.href, DIRECT_DATABASE_URL: url };
}
