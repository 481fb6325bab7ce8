import pg from 'pg';

/** Runs `work` on a new connection to the database at `url`. */
export async function connected<T>(
  url: string,
  work: (client: pg.Client) => Promise<T>,
  options: pg.ClientConfig = {},
): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, ...options });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Runs statements one after another on each PostgreSQL, in the database that its URL names. */
export async function onEachNode(urls: readonly string[], ...statements: readonly string[]): Promise<void> {
  await Promise.all(
    urls.map((url) =>
      connected(url, async (client) => {
        for (const statement of statements) await client.query(statement);
      }),
    ),
  );
}

/** Citus restarts its daemon on every node for as long as the daemon can connect. */
export async function dropOnEachNode(urls: readonly string[], name: string): Promise<void> {
  await onEachNode(urls, `ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`);
  await onEachNode(urls, `DROP DATABASE ${name} WITH (FORCE)`);
}
