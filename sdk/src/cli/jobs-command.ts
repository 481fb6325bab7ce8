import { type Command, Option } from 'commander';
import type { Job, JobEntry } from '../api.ts';
import type { Client } from '../client.ts';
import { countIn } from './arguments.ts';
import { exits } from './exits.ts';
import { type Act, type Output, print, table } from './output.ts';
import { progressOn } from './progress.ts';

const STATES = ['receiving', 'queued', 'running', 'done', 'failed', 'cancelled'] as const;

function linesOf({
  id,
  kind,
  state,
  rows,
  processed,
  added,
  updated,
  removed,
  unchanged,
  kept,
  errors,
}: Job): string[] {
  return [
    `job ${id}  ${kind}  ${state}  ${processed} of ${rows} rows`,
    `${added} added, ${updated} updated, ${removed} removed, ${unchanged} unchanged`,
    ...(kept ? [`${kept} kept, since they were changed after the import`] : []),
    ...errors.map(({ line, message }) => `  ${line === null ? '' : `line ${line}: `}${message}`),
  ];
}

interface Filter {
  readonly state?: JobEntry['state'];
  readonly kind?: string;
  readonly segment?: string;
  readonly limit: number;
}

async function listJobs(client: Client, output: Output, { limit, ...query }: Filter): Promise<void> {
  const found: JobEntry[] = [];
  for await (const job of client.jobs.listJobs.all({ query: { ...query, limit: Math.min(limit, 1000) } })) {
    if (found.push(job) === limit) break;
  }
  const rows = found.map((job) => [
    job.id,
    job.kind,
    job.state,
    job.segment ?? '',
    `${job.processed}/${job.rows}`,
    job.actor,
    job.created_at,
    job.error ?? '',
  ]);
  print(output, found, table(['JOB', 'KIND', 'STATE', 'SEGMENT', 'ROWS', 'BY', 'BEGUN', 'ERROR'], rows));
}

async function followJob(client: Client, output: Output, id: string): Promise<number> {
  const progress = progressOn(process.stderr);
  let last: Job | undefined;
  for await (const job of client.followJob(id)) {
    last = job;
    if (job.finished_at === null) progress.show(job.state, job.processed, job.rows || undefined);
  }
  progress.end();
  if (!last) throw new Error('The job said nothing.');
  print(output, last, linesOf(last));
  return last.state === 'done' ? exits.done : exits.failed;
}

/** `kohort jobs …` */
export function addJobs(program: Command, act: Act): void {
  const jobs = program.command('jobs').description('imports and large questions, under way or over');
  jobs
    .command('list')
    .description('the newest first')
    .addOption(new Option('--state <state>', 'only jobs in this state').choices(STATES))
    .option('--kind <kind>', 'only jobs of this kind, such as segment_import')
    .option('--segment <segment>', 'only jobs about this segment')
    .option('--limit <number>', 'at most so many', countIn('--limit'), 20)
    .action((filter) => act((client, output) => listJobs(client, output, filter)));
  const withJob = (name: string, description: string, run: (client: Client, id: string) => Promise<Job>) =>
    jobs
      .command(`${name} <id>`)
      .description(description)
      .action((id) =>
        act(async (client, output) => {
          const job = await run(client, id);
          print(output, job, linesOf(job));
        }),
      );
  withJob('show', 'how far a job is', (client, id) => client.jobs.readJob({ params: { id } }));
  withJob('cancel', 'cancel a job: nothing of it happens', (client, id) => client.jobs.cancelJob({ params: { id } }));
  jobs
    .command('undo <id>')
    .description('give the users of an import the state they had before; exit code 1 unless that is done')
    .option('--dry-run', 'only report what would change')
    .action((id, { dryRun }: { dryRun?: boolean }) =>
      act(async (client, output) => {
        const query = dryRun ? { dry_run: 'true' as const } : {};
        return followJob(client, output, (await client.jobs.undoJob({ params: { id }, query })).job);
      }),
    );
  jobs
    .command('follow <id>')
    .description('wait until a job ends; exit code 1 unless it is done')
    .action((id) => act((client, output) => followJob(client, output, id)));
}
