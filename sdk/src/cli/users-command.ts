import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { UsageError } from './exits.ts';
import { type Act, type Output, print, table } from './output.ts';

interface Expiry {
  readonly ttl?: string;
  readonly expiresAt?: string;
}

async function showUser(client: Client, output: Output, user: string): Promise<void> {
  const [found, { memberships }] = await Promise.all([
    client.users.readUser({ params: { user } }),
    client.memberships.listMemberships({ params: { user } }),
  ]);
  const rows = memberships.map((one) => [one.slug, one.source, one.since ?? '', one.expires_at ?? '']);
  print(output, { ...found, memberships }, [
    `${found.id}  ${found.external_id ?? ''}  ${found.name ?? ''}`.trimEnd(),
    JSON.stringify(found.attributes),
    ...(rows.length > 0 ? table(['SEGMENT', 'SOURCE', 'SINCE', 'EXPIRES'], rows) : ['in no segment']),
  ]);
}

async function addUser(client: Client, output: Output, user: string, slug: string, { ttl, expiresAt }: Expiry) {
  if (ttl !== undefined && !/^[1-9]\d*$/.test(ttl)) throw new UsageError('--ttl takes a number of seconds.');
  const expiry = {
    ...(ttl !== undefined && { ttl: Number(ttl) }),
    ...(expiresAt !== undefined && { expires_at: expiresAt }),
  };
  const done = await client.memberships.addToSegment({ params: { user }, body: { slug, ...expiry } });
  print(output, done, [`${user} is in ${slug}`]);
}

async function removeUser(client: Client, output: Output, user: string, slug: string): Promise<void> {
  const done = await client.memberships.removeFromSegment({ params: { user, slug } });
  print(output, done, [`${user} is out of ${slug}`]);
}

async function explain(client: Client, output: Output, user: string, slug: string): Promise<void> {
  const why = await client.memberships.explainPair({ params: { user, slug } });
  const rows = Object.entries(why)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => [name, String(value)]);
  print(output, why, table(['', ''], rows).slice(1));
}

/** `kohort users …` and `kohort why` */
export function addUsers(program: Command, act: Act): void {
  const users = program.command('users').description('one user: 2, or ext:shopper-4');
  users
    .command('show <user>')
    .description('a user, and the segments they are in')
    .action((user) => act((client, output) => showUser(client, output, user)));
  users
    .command('add <user> <segment>')
    .description('put a user into a segment; an unknown ext: id is registered')
    .option('--ttl <seconds>', 'for so long')
    .option('--expires-at <time>', 'until then (RFC 3339)')
    .action((user, slug, options) => act((client, output) => addUser(client, output, user, slug, options)));
  users
    .command('remove <user> <segment>')
    .description('take a user out of a segment')
    .action((user, slug) => act((client, output) => removeUser(client, output, user, slug)));
  program
    .command('why <user> <segment>')
    .description('whether a user is in a segment, and what decided')
    .action((user, slug) => act((client, output) => explain(client, output, user, slug)));
}
