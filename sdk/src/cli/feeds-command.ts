import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Change, Feed } from '../api.ts';
import type { Client } from '../client.ts';
import type { ChangeBatch } from '../feed/follow.ts';
import { UsageError } from './exits.ts';
import { type Act, type Output, print, table } from './output.ts';

interface FollowArguments {
  readonly after?: string;
  readonly cursorFile?: string;
  readonly once?: boolean;
}

const maxBatch = 1_000;

function followedBy({ segments, tags }: Feed): string {
  return segments ? segments.join(',') : `tags ${tags?.join(',') ?? ''}`;
}

async function listFeeds(client: Client, output: Output): Promise<void> {
  const found: Feed[] = [];
  for await (const feed of client.feeds.listFeeds.all({ query: { limit: 1000 } })) found.push(feed);
  const rows = found.map((feed) => [String(feed.id), feed.name, feed.state, feed.types.join(','), followedBy(feed)]);
  print(output, found, table(['FEED', 'NAME', 'STATE', 'TYPES', 'FOLLOWS'], rows));
}

async function createFeed(
  client: Client,
  output: Output,
  name: string,
  { segment, tag, type }: { segment?: string[]; tag?: string[]; type?: Feed['types'] },
): Promise<void> {
  if ((segment === undefined) === (tag === undefined)) throw new UsageError('A feed takes --segment or --tag.');
  const made = await client.feeds.createFeed({ body: { name, segments: segment, tags: tag, types: type } });
  print(output, made, [`created feed ${made.id}, which begins at ${made.cursor}`]);
}

async function writeSnapshot(client: Client, output: Output, feed: string): Promise<void> {
  for await (const { members, cursor } of client.snapshot(feed)) {
    const lines = members.map((member) =>
      output.isJson
        ? JSON.stringify(member)
        : `${member.slug}  ${member.user_id}  ${member.external_id ?? ''}`.trimEnd(),
    );
    if (cursor !== null) lines.push(output.isJson ? JSON.stringify({ cursor }) : `cursor ${cursor}`);
    output.write(`${lines.join('\n')}\n`);
  }
}

function lineOf({ at, type, slug, user_id, external_id, cause, actor }: Change): string {
  const user = user_id === null ? '' : `${user_id}${external_id === null ? '' : ` (${external_id})`}`;
  return [at, type.padEnd('entered'.length), slug, user, cause, actor].filter((part) => part !== '').join('  ');
}

/** Yields what is published already, and ends. */
async function* untilNow(client: Client, id: string, begin: string | undefined): AsyncGenerator<ChangeBatch> {
  for (let after = begin; ; ) {
    const batch = await client.feeds.feedChanges({ params: { id }, query: { limit: maxBatch, after } });
    yield batch;
    if (batch.changes.length === 0) return;
    after = batch.cursor;
  }
}

async function readCursor(file: string): Promise<string | undefined> {
  try {
    return (await readFile(file, 'utf8')).trim() || undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Replaces the file atomically. */
async function keepCursor(file: string, cursor: string): Promise<void> {
  await writeFile(`${file}.part`, `${cursor}\n`);
  await rename(`${file}.part`, file);
}

async function followFeed(client: Client, output: Output, feed: string, options: FollowArguments): Promise<void> {
  const { cursorFile, once } = options;
  const after = options.after ?? (cursorFile === undefined ? undefined : await readCursor(cursorFile));
  const leave = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => leave.abort());
  let isAway = false;
  const onAway = () => {
    if (!isAway) process.stderr.write('The service is away; trying again.\n');
    isAway = true;
  };
  const batches = once ? untilNow(client, feed, after) : client.follow(feed, { after, onAway, signal: leave.signal });
  try {
    for await (const { changes, cursor } of batches) {
      isAway = false;
      for (const change of changes) output.write(`${output.isJson ? JSON.stringify(change) : lineOf(change)}\n`);
      if (cursorFile !== undefined) await keepCursor(cursorFile, cursor);
    }
  } catch (error) {
    if (!leave.signal.aborted) throw error;
  }
}

/** `kohort feeds …` */
export function addFeeds(program: Command, act: Act): void {
  const feeds = program.command('feeds').description('who enters and leaves segments');
  feeds
    .command('list')
    .description('all feeds')
    .action(() => act((client, output) => listFeeds(client, output)));
  feeds
    .command('create <name>')
    .description('follow segments from now on')
    .option('--segment <segment...>', 'the segments to follow')
    .option('--tag <tag...>', 'or follow what carries one of these tags')
    .option('--type <type...>', 'what to hear of: entered, left, segment; default all')
    .action((name, options) => act((client, output) => createFeed(client, output, name, options)));
  feeds
    .command('delete <id>')
    .description('follow no more')
    .action((id) =>
      act(async (client, output) => {
        await client.feeds.deleteFeed({ params: { id } });
        print(output, { id: Number(id) }, [`deleted feed ${id}`]);
      }),
    );
  feeds
    .command('snapshot <id>')
    .description('who is in the followed segments, and the cursor from which changes go on')
    .action((id) => act((client, output) => writeSnapshot(client, output, id)));
  feeds
    .command('follow <id>')
    .description('write changes as they come, one a line, until it is interrupted')
    .option('--after <cursor>', 'begin there; default the beginning of the feed')
    .option('--cursor-file <file>', 'begin where the last run ended, and keep the place there')
    .option('--once', 'end when everything up to now is written')
    .action((id, options) => act((client, output) => followFeed(client, output, id, options)));
}
