import { access, constants, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { runWithin } from '@kohort/testkit/processes.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const statuses = new Map([
  ['/healthz', 200],
  ['/readyz', 503],
]);
const server = createServer(
  (request, response) => void response.writeHead(statuses.get(request.url ?? '') ?? 404).end(),
);
beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
afterAll(() => void server.close());

async function exitCodeOf(name: string, port: number): Promise<number | null> {
  const args = [join(import.meta.dirname, name)];
  return (await runWithin({ args, env: { PORT: String(port) } }, 30_000)).code;
}

describe('the health checks of the container', () => {
  it('exit with what the service says', async () => {
    const { port } = server.address() as AddressInfo;
    expect(await exitCodeOf('alive.mjs', port)).toBe(0);
    expect(await exitCodeOf('ready.mjs', port)).toBe(1);
    expect(await exitCodeOf('alive.mjs', 1)).toBe(1);
  });

  it.each(['alive.mjs', 'ready.mjs'])('can be executed without arguments: %s', async (name) => {
    await access(join(import.meta.dirname, name), constants.X_OK);
  });

  it('are one word each, as Podman splits an argument at its spaces', async () => {
    const compose = await readFile(join(ROOT, 'compose.yaml'), 'utf8');
    const dockerfile = await readFile(join(ROOT, 'Dockerfile'), 'utf8');
    const commands = [
      ...[...compose.matchAll(/^ +test: \[CMD, (.*)\]$/gm)].map(([, command]) => command),
      ...[...dockerfile.matchAll(/^ {2}CMD \["(.*)"\]$/gm)].map(([, command]) => command),
    ];
    expect(commands).toEqual(['/app/container/ready.mjs', 'pg_isready', '/app/container/alive.mjs']);
  });
});
