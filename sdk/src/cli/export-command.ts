import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { clientFromEnvironment } from './connect.ts';
import { exits, UsageError } from './exits.ts';
import { progressOn } from './progress.ts';

export const exportUsage = (command: string) => `
${command} --segment SLUG [--format csv|ndjson] [-o FILE]

Writes everyone in the segment now to FILE, or to standard output. The file can be imported again.
KOHORT_URL (http://localhost:8000) and KOHORT_TOKEN say where from, and who asks.
Exit codes: 0 done, 1 broken off, 2 called wrongly, 3 not reachable or not allowed.`;

const OPTIONS = {
  segment: { type: 'string' },
  format: { type: 'string', default: 'csv' },
  output: { type: 'string', short: 'o', default: '-' },
  help: { type: 'boolean', short: 'h' },
} as const;
export const exportOptions = Object.keys(OPTIONS).map((name) => `--${name}`);

/** `command` is how the caller was called. */
export async function exportFile(args: readonly string[], command: string): Promise<number> {
  const { segment, format, output, help } = parseArgs({ args: [...args], options: OPTIONS }).values;
  if (help) {
    process.stdout.write(`${exportUsage(command)}\n`);
    return exits.done;
  }
  if (segment === undefined) throw new UsageError('--segment SLUG, please.');
  if (format !== 'csv' && format !== 'ndjson') throw new UsageError('--format takes one of: csv, ndjson.');
  const client = clientFromEnvironment(process.env);
  const progress = progressOn(process.stderr);
  const stream = await client.imports.exportMembers({
    params: { slug: segment },
    headers: { accept: format === 'csv' ? 'text/csv' : 'application/x-ndjson' },
  });
  let bytes = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of stream) {
      bytes += chunk.length;
      progress.show('receiving bytes', bytes, undefined);
      yield chunk;
    }
    progress.end();
  }
  if (output === '-') {
    await pipeline(counted, process.stdout, { end: false });
    return exits.done;
  }
  // The file gets its name only when it is complete.
  const draft = `${output}.part`;
  try {
    await pipeline(counted, createWriteStream(draft));
    await rename(draft, output);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  return exits.done;
}
