import { parseArgs } from 'node:util';
import type { Job } from '../api.ts';
import type { Client } from '../client.ts';
import { clientFromEnvironment } from './connect.ts';
import { exits, UsageError } from './exits.ts';
import { type Progress, progressOn } from './progress.ts';
import { sourceOf } from './source.ts';

export const importUsage = (command: string) => `
${command} --segment SLUG FILE      put the users of a file into a segment
${command} --users FILE             register users, change names and attributes
${command} --undo JOB               give the users of an import the state they had before

FILE is CSV, TSV or NDJSON (by its name, or --format); - is standard input. A named pipe will do.

  --mode add|remove|replace      what becomes of the users of the file (add)
  --unknown create|reject|skip   what becomes of users who do not exist (reject; with --users: create)
  --expires-at TIME              for rows that name no time of their own
  --columns reject|ignore        what becomes of columns that are not known (reject)
  --confirm-empty                with --mode replace: a file without rows empties the segment
  --dry-run                      only report what would change
  --format csv|tsv|ndjson
  --patience SECONDS             how long to wait for a service that is away while the job is followed (60)

KOHORT_URL (http://localhost:8000) and KOHORT_TOKEN say where to, and who asks.
Exit codes: 0 done, 1 the job failed, 2 called wrongly, 3 not reachable or not allowed.`;

const OPTIONS = {
  segment: { type: 'string' },
  users: { type: 'boolean' },
  undo: { type: 'string' },
  mode: { type: 'string' },
  unknown: { type: 'string' },
  'expires-at': { type: 'string' },
  columns: { type: 'string' },
  'confirm-empty': { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  format: { type: 'string' },
  patience: { type: 'string', default: '60' },
  help: { type: 'boolean', short: 'h' },
} as const;
export const importOptions = Object.keys(OPTIONS).map((name) => `--${name}`);

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>>['values'];

function oneOf<const T extends string>(name: string, text: string | undefined, allowed: readonly T[]): T | undefined {
  const found = allowed.find((one) => one === text);
  if (text !== undefined && found === undefined) throw new UsageError(`--${name} takes one of: ${allowed.join(', ')}.`);
  return found;
}

function typeOf(file: string, format: string | undefined) {
  const byName = /\.(?:ndjson|jsonl)$/i.test(file) ? 'ndjson' : /\.(?:tsv|tab)$/i.test(file) ? 'tsv' : 'csv';
  const found = oneOf('format', format, ['csv', 'tsv', 'ndjson']) ?? byName;
  return ({ csv: 'text/csv', tsv: 'text/tab-separated-values', ndjson: 'application/x-ndjson' } as const)[found];
}

function secondsIn(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new UsageError('--patience takes a number of seconds.');
  return Number(text);
}

async function send(client: Client, values: Values, file: string, progress: Progress): Promise<string> {
  const unknown = oneOf('unknown', values.unknown, ['create', 'reject', 'skip']);
  const mode = oneOf('mode', values.mode, ['add', 'remove', 'replace']);
  const type = typeOf(file, values.format);
  const columns = oneOf('columns', values.columns, ['reject', 'ignore']);
  const query = {
    ...(unknown && { unknown }),
    ...(columns && { columns }),
    ...(values['dry-run'] && { dry_run: 'true' as const }),
  };
  if (values.segment === undefined && (mode || values['expires-at'] || values['confirm-empty'])) {
    throw new UsageError('--mode, --expires-at and --confirm-empty belong to --segment.');
  }
  const source = await sourceOf(file);
  try {
    const common = { type, upload: source.chunks(progress) } as const;
    if (values.segment === undefined) return (await client.imports.importUsers({ query, ...common })).job;
    const { job } = await client.imports.importMembers({
      params: { slug: values.segment },
      query: {
        ...query,
        ...(mode && { mode }),
        ...(values['expires-at'] && { expires_at: values['expires-at'] }),
        ...(values['confirm-empty'] && { confirm: 'empty' as const }),
      },
      ...common,
    });
    return job;
  } finally {
    source.close();
  }
}

const UNKNOWN_USER = /^there is no user/;
const UNKNOWN_HINT = 'To register users who do not exist: --unknown create. To pass over them: --unknown skip.';

function summary(job: Job, isDryRun: boolean): string {
  const { id, state, rows, added, updated, removed, unchanged, skipped, lapsed, kept, errors } = job;
  const lines = errors.map(
    ({ line, message, level }) => `  ${level ? `${level}: ` : ''}${line === null ? '' : `line ${line}: `}${message}`,
  );
  const others = [
    skipped && `${skipped} rows skipped`,
    lapsed && `${lapsed} whose time has passed`,
    kept && `${kept} kept, since they were changed after the import`,
  ].filter(Boolean);
  const counts = [`${added} added, ${updated} updated, ${removed} removed, ${unchanged} unchanged`, ...others].join(
    ', ',
  );
  return [
    state === 'done'
      ? `${isDryRun ? 'would be' : 'done'}: ${counts} (${rows} rows, job ${id})`
      : `${state}: nothing was changed (job ${id})`,
    ...lines,
    ...(errors.some(({ message, level }) => level === undefined && UNKNOWN_USER.test(message)) ? [UNKNOWN_HINT] : []),
  ].join('\n');
}

/** The job that the arguments ask for, as a function that starts it. */
function beginning(
  values: Values,
  [file, ...more]: readonly string[],
): (client: Client, progress: Progress) => Promise<string> {
  const { undo, segment, users } = values;
  if ([undo, segment, users].filter((one) => one !== undefined).length !== 1) {
    throw new UsageError('Either --segment SLUG, --users or --undo JOB, please.');
  }
  if (undo !== undefined) {
    if (file !== undefined) throw new UsageError('--undo takes no file.');
    const query = values['dry-run'] ? { dry_run: 'true' as const } : {};
    return async (client) => (await client.jobs.undoJob({ params: { id: undo }, query })).job;
  }
  if (file === undefined || more.length > 0) throw new UsageError('One file, please.');
  return (client, progress) => send(client, values, file, progress);
}

/** `command` is how the caller was called. */
export async function importFile(args: readonly string[], command: string): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  if (values.help) {
    process.stdout.write(`${importUsage(command)}\n`);
    return exits.done;
  }
  const begin = beginning(values, positionals);
  const patience = secondsIn(values.patience) * 1000;
  const client = clientFromEnvironment(process.env);
  const progress = progressOn(process.stderr);
  const id = await begin(client, progress);
  const onAway = () => {
    progress.end();
    process.stderr.write(`waiting for Kohort … (job ${id})\n`);
  };
  let last: Job | undefined;
  for await (const job of client.followJob(id, { patience, onAway })) {
    last = job;
    if (job.state === 'queued') progress.show('waiting, rows', job.rows, undefined);
    if (job.state === 'running') progress.show('applying rows', job.processed, job.rows);
  }
  progress.end();
  if (!last) throw new Error('The job said nothing.');
  const isDone = last.state === 'done';
  (isDone ? process.stdout : process.stderr).write(`${summary(last, values['dry-run'] === true)}\n`);
  return isDone ? exits.done : exits.failed;
}
