import type { Command } from 'commander';
import type { Segment } from '../api.ts';
import type { Client } from '../client.ts';
import {
  CLEARABLE,
  type DefinitionInput,
  type DefinitionOptions,
  definitionOf,
  takesDefinition,
} from './definition-options.ts';
import { UsageError } from './exits.ts';
import { type Act, type Output, print, table } from './output.ts';

interface EditOptions extends DefinitionOptions {
  readonly rename?: string;
  readonly clear?: string[];
  readonly ifVersion?: string;
}

/** What decides who is in, in a few words. */
function ruleOf(segment: Segment): string {
  const { condition, bucket_by, active_from, active_until } = segment;
  const share = shareOf(segment);
  const rule = [...(share ? [share] : []), ...(condition ? [JSON.stringify(condition)] : [])].join(' of ') || 'list';
  return [
    rule,
    ...(bucket_by === null ? [] : [`by ${bucket_by}`]),
    ...(active_from === null ? [] : [`from ${active_from}`]),
    ...(active_until === null ? [] : [`until ${active_until}`]),
  ].join(' ');
}

function shareOf({ percentage, ramp, layer }: Segment): string | undefined {
  if (ramp) return `${ramp.from}-${ramp.to} % (${ramp.starts_at} to ${ramp.ends_at})`;
  if (layer) return `${layer.from}-${layer.to} % of layer ${layer.slug}`;
  return percentage === null ? undefined : `${percentage} %`;
}

export async function listSegments(client: Client, output: Output, query: { query?: string; tag?: string }) {
  const found: Segment[] = [];
  for await (const segment of client.segments.listSegments.all({ query: { ...query, limit: 1000 } }))
    found.push(segment);
  const rows = found.map((one) => [one.slug, String(one.version), one.tags.join(','), ruleOf(one)]);
  print(output, found, table(['SLUG', 'VERSION', 'TAGS', 'RULE'], rows));
}

export async function showSegment(client: Client, output: Output, slug: string) {
  const [segment, { count }] = await Promise.all([
    client.segments.readSegment({ params: { slug } }),
    client.segments.countMembers({ params: { slug } }),
  ]);
  const rows = Object.entries({ ...segment, count }).map(([name, value]) => [
    name,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  print(output, { ...segment, count }, table(['FIELD', 'VALUE'], rows).slice(1));
}

export async function createSegment(client: Client, output: Output, slug: string, input: DefinitionInput) {
  const { id } = await client.segments.createSegment({ body: { slug, ...input } });
  print(output, { id, slug }, [`created ${slug} (id ${id})`]);
}

function cleared(fields: readonly string[]): DefinitionInput {
  const wrong = fields.find((field) => !CLEARABLE.some((one) => one === field));
  if (wrong !== undefined) throw new UsageError(`--clear takes any of: ${CLEARABLE.join(', ')}.`);
  return Object.fromEntries(fields.map((field) => [field, null]));
}

export async function editSegment(client: Client, output: Output, slug: string, options: EditOptions) {
  const { rename, clear = [], ifVersion } = options;
  if (ifVersion !== undefined && !/^\d+$/.test(ifVersion)) throw new UsageError('--if-version takes a version.');
  const body = { ...definitionOf(options), ...cleared(clear), ...(rename !== undefined && { slug: rename }) };
  if (Object.keys(body).length === 0) throw new UsageError('Nothing to change: name at least one field.');
  const segment = await client.segments.changeSegment({
    params: { slug },
    body,
    ...(ifVersion !== undefined && { headers: { 'if-match': `"${ifVersion}"` } }),
  });
  print(output, segment, [`${segment.slug} is at version ${segment.version}`]);
}

export async function deleteSegment(client: Client, output: Output, slug: string) {
  print(output, await client.segments.deleteSegment({ params: { slug } }), [`deleted ${slug}`]);
}

/** `kohort segments …` */
export function addSegments(program: Command, act: Act): void {
  const segments = program.command('segments').description('what segments there are');
  segments
    .command('list')
    .description('all of them, or those that match')
    .option('--query <text>', 'a part of the slug or the description')
    .option('--tag <tag>', 'only segments with this tag')
    .action((query) => act((client, output) => listSegments(client, output, query)));
  segments
    .command('show <slug>')
    .description('one segment, with the number of its members')
    .action((slug) => act((client, output) => showSegment(client, output, slug)));
  takesDefinition(segments.command('create <slug>'))
    .description('create a segment; without percentage and condition it is a list')
    .action((slug, options) => act((client, output) => createSegment(client, output, slug, definitionOf(options))));
  takesDefinition(segments.command('edit <slug>'))
    .description('change what is named, keep the rest')
    .option('--rename <slug>', 'a new slug; members and history stay')
    .option('--clear <field...>', `empty a field: ${CLEARABLE.join(', ')}`)
    .option('--if-version <version>', 'only if it is still at this version')
    .action((slug, options) => act((client, output) => editSegment(client, output, slug, options)));
  segments
    .command('delete <slug>')
    .description('delete a segment')
    .action((slug) => act((client, output) => deleteSegment(client, output, slug)));
}
