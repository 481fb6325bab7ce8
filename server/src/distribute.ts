import { parseArgs } from 'node:util';
import pg from 'pg';

const usage = 'npm run distribute -- --database-url postgres://user:password@host:port/database';
const connectTimeoutMs = 5_000;

/** What keeps this database from being distributed, as a sentence for the person who asked for it. */
async function obstacleOf(connectionString: string): Promise<string> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: connectTimeoutMs });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rowCount } = await client.query("SELECT FROM pg_extension WHERE extname = 'citus'");
    if (rowCount === 0) {
      return 'This PostgreSQL has no Citus: the extension "citus" is not installed in the database. Nothing was changed.';
    }
    return 'This version of Kohort cannot distribute its tables over Citus yet. Nothing was changed.';
  } catch (error) {
    return `The database cannot be reached: ${error instanceof Error ? error.message : error}. Nothing was changed.`;
  } finally {
    await client.end().catch(() => undefined);
  }
}

function databaseUrlOf(args: readonly string[]): string | undefined {
  try {
    return parseArgs({ args: [...args], options: { 'database-url': { type: 'string' } } }).values['database-url'];
  } catch {
    return undefined;
  }
}

const url = databaseUrlOf(process.argv.slice(2));
process.stderr.write(`${url === undefined ? usage : await obstacleOf(url)}\n`);
process.exitCode = url === undefined ? 2 : 1;
