import { Agent, get, type IncomingMessage } from 'node:http';
import { eventually } from '@kohort/testkit/eventually.ts';
import { expect, it } from 'vitest';
import { anonymous } from './caller.ts';
import { createWebServer } from './server.ts';

/** Larger than any buffer of a socket, so it stays unsent when it is not read. */
const large = `"${'x'.repeat(16 * 1024 * 1024 - 2)}"`;
/** As many as half of the 256 MiB holds. */
const largeAtOnce = 8;

/** The answer as it begins, with nothing of its body read. */
function begin(port: number, path: string, credential: string, agent: Agent): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent, headers: { authorization: credential } }, resolve).on('error', reject);
  });
}

it('large answers count for their caller until they are sent, those of a caller on any connection together', async () => {
  const web = createWebServer({ logLevel: 'silent', trustProxy: [], translate: () => undefined });
  const observe = () => undefined;
  web.fastPath.open({ method: 'GET', pattern: /^\/large$/, observe, answer: async () => large });
  web.fastPath.open({ method: 'GET', pattern: /^\/small$/, observe, answer: async () => '"small"' });
  for (const actor of ['key:1', 'key:2']) web.callers.learn(actor, { ...anonymous, kind: 'key', actor });
  const port = Number(new URL(await web.app.listen({ port: 0, host: '127.0.0.1' })).port);
  const agent = new Agent();
  const statusOf = async (path: string, credential: string) =>
    (await begin(port, path, credential, agent)).statusCode ?? 0;

  const statuses: number[] = [];
  for (let i = 0; i < largeAtOnce + 2; i++) statuses.push(await statusOf('/large', 'key:1'));
  expect(statuses.filter((status) => status === 200)).toHaveLength(largeAtOnce);
  expect(statuses.slice(largeAtOnce)).toEqual([503, 503]);
  expect(await statusOf('/small', 'key:1'), 'small ones do not count').toBe(200);
  expect(await statusOf('/large', 'key:2'), 'another caller').toBe(200);

  agent.destroy();
  await eventually(async () => (await statusOf('/large', 'key:1')) === 200);
  agent.destroy();
  web.app.server.closeAllConnections();
  await web.app.close();
});
