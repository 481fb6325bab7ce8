import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type pg from 'pg';
import { migrate } from '../migrate.ts';
import { Obstacle } from './obstacles.ts';
import { connect } from './session.ts';

const schemaFolder = join(import.meta.dirname, '../../../../schema');

export interface CommandContext {
  /** The schema version of this build. */
  readonly newest: number;
  readonly say: (line: string) => void;
  /** Makes the tables of this build in a database that has none. */
  readonly makeTables: () => Promise<unknown>;
}

function databaseUrlOf(args: readonly string[]): string | undefined {
  try {
    return parseArgs({ args: [...args], options: { 'database-url': { type: 'string' } } }).values['database-url'];
  } catch {
    return undefined;
  }
}

async function newestVersion(): Promise<number> {
  const numbers = (await readdir(schemaFolder)).map((file) => Number(/^(\d+)_.+\.up\.sql$/.exec(file)?.[1] ?? 0));
  return Math.max(...numbers);
}

function sentenceOf(error: unknown): string {
  if (error instanceof Obstacle) return error.message.endsWith('.') ? error.message : `${error.message}.`;
  return `It failed, and can be run again: ${error instanceof Error ? error.message : error}`;
}

/** Runs `npm run NAME -- --database-url …`: one line per step on stdout; if it cannot run, a sentence on stderr and code 1. */
export async function runCommand(
  name: string,
  work: (client: pg.Client, context: CommandContext) => Promise<void>,
): Promise<void> {
  const url = databaseUrlOf(process.argv.slice(2));
  if (url === undefined) {
    process.stderr.write(`npm run ${name} -- --database-url postgres://user:password@host:port/database\n`);
    process.exitCode = 2;
    return;
  }
  let client: pg.Client | undefined;
  let hasBegun = false;
  const say = (line: string) => {
    hasBegun = true;
    process.stdout.write(`${line}\n`);
  };
  try {
    client = await connect(url, `kohort-${name}`);
    await work(client, { newest: await newestVersion(), say, makeTables: () => migrate(url, schemaFolder) });
  } catch (error) {
    process.stderr.write(`${sentenceOf(error)}${hasBegun ? '' : ' Nothing was changed.'}\n`);
    process.exitCode = 1;
  } finally {
    await client?.end().catch(() => undefined);
  }
}
