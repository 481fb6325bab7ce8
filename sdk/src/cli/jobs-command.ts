import type { Command } from 'commander';
import type { Job } from '../api.ts';
import type { Client } from '../client.ts';
import { exits } from './exits.ts';
import { type Act, type Output, print } from './output.ts';
import { progressOn } from './progress.ts';

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
  const jobs = program.command('jobs').description('imports that are under way or over');
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
