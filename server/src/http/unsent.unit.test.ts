import type { AddressInfo } from 'node:net';
import { eventually } from '@kohort/testkit/eventually.ts';
import fastify from 'fastify';
import { expect, it } from 'vitest';
import { anonymous } from './caller.ts';
import { countWholeAnswers } from './unsent.ts';

it('answers that are sent whole count for their caller until they are sent, but not those to changes', async () => {
  const app = fastify();
  app.decorateRequest('caller');
  app.addHook('onRequest', (request, _reply, done) => {
    request.caller = { ...anonymous, kind: 'key', actor: String(request.headers['x-caller']) };
    done();
  });
  countWholeAnswers(app);
  const large = 'x'.repeat(16 * 1024 * 1024);
  app.get('/', async () => large);
  app.post('/', async () => large);
  await app.listen({ port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const leaving = new AbortController();
  // Kept, since an answer that is forgotten is given up.
  const unread: Response[] = [];
  const ask = async (caller: string, method = 'GET') => {
    const answer = await fetch(`http://127.0.0.1:${port}/`, {
      method,
      headers: { 'x-caller': caller },
      signal: leaving.signal,
    });
    unread.push(answer);
    return answer.status;
  };
  const statuses: number[] = [];
  for (let i = 0; i < 10; i++) statuses.push(await ask('greedy'));
  expect(statuses.filter((status) => status === 200)).toHaveLength(8);
  expect(await ask('another')).toBe(200);
  expect(await ask('greedy', 'POST')).toBe(200);
  leaving.abort();
  await eventually(async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { 'x-caller': 'greedy' } });
    return (await answer.text()).length === large.length;
  });
  app.server.closeAllConnections();
  await app.close();
});
