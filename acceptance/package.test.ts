import { execFile } from 'node:child_process';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { temporaryFolder } from '@kohort/testkit/folder.ts';
import { signIn } from '@kohort/testkit/http.ts';
import { databaseEnv } from '@kohort/testkit/pooler.ts';
import { ADMIN_PASSWORD, launch, type Running } from '@kohort/testkit/service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');

/** What an application would write. */
const PROGRAM = `
import { type Change, createClient, KohortError, type Replica, type Segment } from '@kohort/client';

const url = process.env.KOHORT_URL ?? '';
const { token } = await createClient({ url }).auth.signIn({ body: { username: 'admin', password: '${ADMIN_PASSWORD}' } });
const kohort = createClient({ url, token });
await kohort.segments.createSegment({ body: { slug: 'PACKED', tags: ['a'] } });
await kohort.memberships.addToSegment({ params: { user: 'ext:ann' }, body: { slug: 'PACKED' } });
const segments: string[] = await kohort.segmentsOf('ext:ann');
const isIn: boolean = await kohort.isIn('ext:ann', 'PACKED');
const found: Segment[] = [];
for await (const segment of kohort.segments.listSegments.all({ query: { tag: 'a' } })) found.push(segment);
const failure = await kohort.segmentsOf('ext:nobody').catch((error: unknown) => error);
const code = failure instanceof KohortError && failure.code === 'user_unknown' ? failure.code : undefined;
const { id, cursor } = await kohort.feeds.createFeed({ body: { name: 'packed', segments: ['PACKED'] } });
const replica: Replica = await kohort.replica(id);
await kohort.memberships.addToSegment({ params: { user: 'ext:ben' }, body: { slug: 'PACKED' } });
const heard: Change[] = [];
for await (const { changes } of kohort.follow(id, { after: cursor })) {
  heard.push(...changes);
  break;
}
await replica.refresh();
const known = ['ext:ann', 'ext:ben', 'ext:carl'].filter((user) => replica.isIn(user, 'PACKED'));
replica.close();
// @ts-expect-error A part that this call does not have.
kohort.segments.readSegment({ query: {} }).catch(() => undefined);
console.log(JSON.stringify({ segments, isIn, slugs: found.map(({ slug }) => slug), code, known, heard: heard[0]?.external_id }));
`;

let database: TestDatabase;
let service: Running;
let folder: string;
const run = async (command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  (await promisify(execFile)(command, args, { cwd: folder, env: { ...process.env, ...env } })).stdout;

/** Packed and installed with plain npm, in a project that has nothing else; without a registry, since it needs none. */
beforeAll(async () => {
  database = await createDatabase();
  service = await launch({ MODE: 'evaluation', ...databaseEnv(database.url), ADMIN_PASSWORD });
  folder = await temporaryFolder('package');
  await run('npm', ['pack', join(ROOT, 'sdk'), '--pack-destination', folder, '--silent']);
  const [tarball = ''] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
  await writeFile(join(folder, 'package.json'), '{ "name": "empty", "private": true, "type": "module" }');
  await run('npm', [
    'install',
    `./${tarball}`,
    '--offline',
    '--no-audit',
    '--no-fund',
    '--cache',
    join(folder, '.npm'),
  ]);
});
afterAll(async () => {
  await service?.kill('SIGTERM');
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

describe('the package @kohort/client, installed from its tarball', () => {
  it('brings nothing else along', async () => {
    expect(await readdir(join(folder, 'node_modules/@kohort'))).toEqual(['client']);
    expect((await readdir(join(folder, 'node_modules'))).filter((name) => !name.startsWith('.'))).toEqual(['@kohort']);
    const installed = join(folder, 'node_modules/@kohort/client');
    const files = await readdir(join(installed, 'dist'));
    for (const name of files.filter((one) => /\.(?:js|d\.ts)$/.test(one)))
      expect(await readFile(join(installed, 'dist', name), 'utf8')).not.toContain('@kohort/contract');
  });

  it('has the command line in it, and the licences of what that contains', async () => {
    const token = await signIn(service.url, 'admin', ADMIN_PASSWORD);
    const env = { KOHORT_URL: service.url, KOHORT_TOKEN: token };
    expect(await run('npx', ['--offline', 'kohort', '--json', 'segments', 'list'], env)).toBe('[]\n');
    const licences = await readFile(join(folder, 'node_modules/@kohort/client/dist/LICENSE-OF-OTHERS'), 'utf8');
    for (const name of ['commander', 'yaml']) expect(licences).toContain(`contains ${name}:`);
  });

  it('has types for Node and for browsers, and runs', async () => {
    await writeFile(join(folder, 'program.ts'), PROGRAM);
    await writeFile(
      join(folder, 'globals.d.ts'),
      'declare const process: { env: Record<string, string | undefined> };',
    );
    const options = { target: 'es2022', module: 'nodenext', strict: true, lib: ['es2022', 'dom'], types: [] };
    const exact = { exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true };
    for (const compilerOptions of [options, { ...options, ...exact, module: 'esnext', moduleResolution: 'bundler' }]) {
      await writeFile(
        join(folder, 'tsconfig.json'),
        JSON.stringify({ compilerOptions, files: ['program.ts', 'globals.d.ts'] }),
      );
      expect(await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', '.'])).toBe('');
    }
    const printed = await run(process.execPath, ['program.js'], { KOHORT_URL: service.url });
    expect(JSON.parse(printed)).toEqual({
      segments: ['PACKED'],
      isIn: true,
      slugs: ['PACKED'],
      code: 'user_unknown',
      known: ['ext:ann', 'ext:ben'],
      heard: 'ben',
    });
  });
});
