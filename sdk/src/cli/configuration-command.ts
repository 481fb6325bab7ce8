import { readFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Segment } from '../api.ts';
import type { Client } from '../client.ts';
import {
  type Definition,
  differences,
  type Plan,
  type Planned,
  planOf,
  read,
  withVersions,
  written,
} from './configuration.ts';
import { exits, UsageError } from './exits.ts';
import { type Act, type Output, print } from './output.ts';

interface PruneOption {
  readonly prune?: boolean;
}

async function stateOf(client: Client): Promise<{ segments: Segment[]; layers: string[] }> {
  const query = { limit: 1000 };
  const [segments, layers]: [Segment[], string[]] = [[], []];
  for await (const segment of client.segments.listSegments.all({ query })) segments.push(segment);
  for await (const { slug } of client.layers.listLayers.all({ query })) layers.push(slug);
  return { segments, layers };
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? ` (${error.code})` : '';
    throw new UsageError(`${file} cannot be read${reason}.`);
  }
}

async function pull(client: Client, output: Output, file: string | undefined): Promise<void> {
  const { segments, layers } = await stateOf(client);
  const text = written(segments, layers);
  if (file === undefined || file === '-') output.write(text);
  else {
    await writeFile(file, text);
    print(output, { file, segments: segments.length }, [`${segments.length} segments in ${file}`]);
  }
}

/** How many users would enter and leave. */
interface Effect {
  readonly entering: number;
  readonly leaving: number;
}

/** The fields that decide who is in; descriptions and tags do not. */
function ruleOf({ description: _, tags: __, ...rule }: Definition): Definition {
  return rule;
}

async function effectOf(client: Client, { slug, action, before, after }: Planned): Promise<Effect> {
  if (action === 'delete') {
    const { count } = await client.segments.countMembers({ params: { slug } });
    return { entering: 0, leaving: count };
  }
  const rule = ruleOf(after);
  if (action === 'create') {
    const isList = Object.keys(rule).length === 0;
    return { entering: isList ? 0 : (await client.segments.previewSegment({ body: rule })).count, leaving: 0 };
  }
  // Parts of the rule that the file leaves out are cleared.
  const cleared = Object.fromEntries(Object.keys(ruleOf(before)).map((name) => [name, null]));
  return client.segments.previewChange({ params: { slug }, body: { ...cleared, ...rule } });
}

const SIGNS = { create: '+', change: '~', delete: '-' } as const;

async function linesOf(client: Client, plan: Plan): Promise<{ lines: string[]; effects: Effect[] }> {
  const lines = plan.layers.map((slug) => `+ layer ${slug}`);
  const effects: Effect[] = [];
  for (const step of plan.steps) {
    const effect = await effectOf(client, step);
    effects.push(effect);
    lines.push(`${SIGNS[step.action]} ${step.slug}: ${effect.entering} would enter, ${effect.leaving} would leave`);
    if (step.action !== 'delete') lines.push(...differences(step).map((line) => `    ${line}`));
  }
  return { lines, effects };
}

function warningsOf({ stale, missing }: Plan, isPruned: boolean): string[] {
  return [
    ...stale.map((slug) => `! ${slug} was changed in the service since the file was pulled`),
    ...(isPruned ? [] : missing.map((slug) => `  ${slug} is not in the file; --prune would delete it`)),
  ];
}

async function diff(
  client: Client,
  output: Output,
  file: string,
  { prune = false, exitCode = false }: PruneOption & { readonly exitCode?: boolean },
) {
  const plan = planOf(read(await textOf(file)), await stateOf(client), prune);
  const { lines, effects } = await linesOf(client, plan);
  const steps = plan.steps.map((step, i) => ({ ...step, ...effects[i] }));
  const isChanged = plan.steps.length > 0 || plan.layers.length > 0;
  const same = !isChanged ? ['Nothing would change.'] : [];
  print(output, { ...plan, steps }, [...lines, ...same, ...warningsOf(plan, prune)]);
  return exitCode && isChanged ? exits.failed : exits.done;
}

async function apply(client: Client, output: Output, file: string, { prune = false }: PruneOption): Promise<number> {
  const { document, ...configuration } = read(await textOf(file));
  const plan = planOf(configuration, await stateOf(client), prune);
  if (plan.stale.length > 0) {
    process.stderr.write(`Nothing was changed. Changed since the file was pulled: ${plan.stale.join(', ')}.\n`);
    process.stderr.write('Pull into another file, and bring your changes over.\n');
    return exits.usage;
  }
  const put = plan.steps.filter(({ action }) => action !== 'delete');
  const gone = plan.steps.filter(({ action }) => action === 'delete');
  const { versions } = await client.segments.applyDefinitions({
    body: {
      layers: plan.layers,
      segments: put.map(({ slug, version, after }) => ({ slug, version, ...after })),
      delete: gone.map(({ slug, version }) => ({ slug, version: version ?? 0 })),
    },
  });
  await writeFile(file, withVersions(document, versions));
  const lines = [
    ...plan.layers.map((slug) => `+ layer ${slug}`),
    ...plan.steps.map(({ action, slug }) => `${SIGNS[action]} ${slug}`),
  ];
  print(output, { steps: plan.steps, versions }, lines.length > 0 ? lines : ['Nothing to change.']);
  return exits.done;
}

/** `kohort pull`, `kohort diff` and `kohort apply` */
export function addConfiguration(program: Command, act: Act): void {
  program
    .command('pull [file]')
    .description('write all definitions to a YAML file')
    .action((file) => act((client, output) => pull(client, output, file)));
  program
    .command('diff <file>')
    .description('what the file would change, and how many users would enter and leave')
    .option('--prune', 'also what is not in the file would be deleted')
    .option('--exit-code', 'exit with 1 when something would change')
    .action((file, options) => act((client, output) => diff(client, output, file, options)));
  program
    .command('apply <file>')
    .description('make the service as the file says: all of it, or nothing when something changed meanwhile')
    .option('--prune', 'delete what is not in the file')
    .action((file, options) => act((client, output) => apply(client, output, file, options)));
}
