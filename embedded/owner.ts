import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { codeOf, EmbeddedError } from './error.ts';

/** Held by the service on a connection of its own for as long as it uses the cluster. */
const OWNER_LOCK = 7224191400009;
const CLAIM_ATTEMPTS = 5;
const CLAIM_PAUSE_MS = 200;
const RECOVERY_ATTEMPTS = 20;
const RECOVERY_PAUSE_MS = 300;

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 3_000,
    application_name: 'kohort-owner',
  });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

export function isRefused(error: unknown): boolean {
  return codeOf(error) === 'ECONNREFUSED';
}

function isForeign(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code?.startsWith('28') === true;
}

/**
 * Takes the lock that marks the cluster as used. The lock ends with its connection, so a killed service releases it.
 * @throws EmbeddedError when another service holds it.
 */
export async function claim(url: string, folder: string): Promise<pg.Client> {
  const client = await connect(url);
  for (let attempt = 1; attempt <= CLAIM_ATTEMPTS; attempt++) {
    const { rows } = await client.query<{ held: boolean }>('SELECT pg_try_advisory_lock($1) AS held', [OWNER_LOCK]);
    if (rows[0]?.held) return client;
    // If a service was killed a moment ago, its backend may not have noticed yet.
    await sleep(CLAIM_PAUSE_MS);
  }
  await client.end().catch(() => undefined);
  throw new EmbeddedError(`Another Kohort is using the data folder ${folder}. Stop it first, or set DATA_DIR.`);
}

/** Claims a server that is still recovering, too. Undefined when no server of ours answers at that address. */
export async function claimRunning(url: string, folder: string): Promise<pg.Client | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await claim(url, folder);
    } catch (error) {
      if (error instanceof EmbeddedError) throw error;
      // A pid file may outlive its server, and another server may listen on that port.
      if (isRefused(error) || isForeign(error) || attempt === RECOVERY_ATTEMPTS) return undefined;
      await sleep(RECOVERY_PAUSE_MS);
    }
  }
}
