import { Command, CommanderError } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { completionOf } from './completion.ts';
import { addConfiguration } from './configuration-command.ts';
import { clientFromEnvironment, hintFor } from './connect.ts';
import { codeOf, exits, explain, UsageError } from './exits.ts';
import { exportFile, exportOptions } from './export-command.ts';
import { addFeeds } from './feeds-command.ts';
import { importFile, importOptions } from './import-command.ts';
import { addJobs } from './jobs-command.ts';
import { type Act, outputOn } from './output.ts';
import { addSegments } from './segments-command.ts';
import { addUsers } from './users-command.ts';
import { addWebhooks } from './webhooks-command.ts';

const ABOUT = `
KOHORT_URL (http://localhost:8000) says where the service is, KOHORT_TOKEN who asks: a session token or an API key.
Exit codes: 0 done, 1 failed, 2 called wrongly or refused, 3 not reachable or not allowed.`;

const act: Act = async (run) => {
  const output = outputOn(process.stdout, program.opts<{ json?: boolean }>().json === true);
  const code = await run(clientFromEnvironment(process.env), output);
  process.exitCode = typeof code === 'number' ? code : exits.done;
};

/** A command that reads its arguments itself. */
function addFileCommand(name: string, description: string, run: (args: string[], command: string) => Promise<number>) {
  program
    .command(name)
    .description(description)
    .argument('[arguments...]')
    .allowUnknownOption()
    .helpOption(false)
    .action(async (args: string[]) => {
      process.exitCode = await run(args, `kohort ${name}`);
    });
}

const program = new Command('kohort')
  .description('Kohort from the command line: which segments is a user in?')
  .option('--json', 'answer with JSON')
  .version(packageJson.version)
  .addHelpText('after', ABOUT)
  .exitOverride();

addSegments(program, act);
addUsers(program, act);
addFileCommand('import', 'a file of users into a segment, or of users; --help says more', importFile);
addFileCommand('export', 'the users of a segment into a file; --help says more', exportFile);
addJobs(program, act);
addFeeds(program, act);
addWebhooks(program, act);
addConfiguration(program, act);
program
  .command('completion <shell>')
  .description('a script for bash or zsh: source <(kohort completion bash)')
  .action((shell: string) => {
    if (shell !== 'bash' && shell !== 'zsh') throw new UsageError('completion takes one of: bash, zsh.');
    process.stdout.write(
      completionOf(program, shell, { 'kohort import': importOptions, 'kohort export': exportOptions }),
    );
  });

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? exits.done : exits.usage;
  else {
    process.exitCode = codeOf(error);
    process.stderr.write(explain(error, hintFor(error, process.env)));
  }
}
