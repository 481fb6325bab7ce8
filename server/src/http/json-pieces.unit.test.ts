import type { AddressInfo } from 'node:net';
import { eventually } from '@kohort/testkit/eventually.ts';
import fastify from 'fastify';
import { expect, it } from 'vitest';
import { anonymous } from './caller.ts';
import { sendPage } from './json-pieces.ts';

async function answerTo(page: object): Promise<{ text: string; length: string | undefined }> {
  const app = fastify();
  app.get('/', (_request, reply) => sendPage(reply, page));
  const answer = await app.inject('/');
  await app.close();
  return { text: answer.body, length: String(answer.headers['content-length']) };
}

it('sends a page as JSON.stringify writes it, whatever its size', async () => {
  const large = Array.from({ length: 1_000 }, (_, i) => ({ id: i, name: `ü${'x'.repeat(200)}` }));
  for (const page of [
    {},
    { users: [], next_cursor: null },
    { users: [{ name: 'ü' }, null, 'a"b'], none: undefined, next_cursor: 'x' },
    { users: large, next_cursor: null },
  ]) {
    const text = JSON.stringify(page);
    expect(await answerTo(page)).toEqual({ text, length: String(Buffer.byteLength(text)) });
  }
});

it('lets one caller have half of the megabytes that may be unsent, and gives them back when the clients leave', async () => {
  const app = fastify();
  app.decorateRequest('caller');
  app.addHook('onRequest', (request, _reply, done) => {
    request.caller = { ...anonymous, kind: 'key', actor: String(request.headers['x-caller']) };
    done();
  });
  const page = { text: 'x'.repeat(15 * 1024 * 1024) };
  app.get('/', (_request, reply) => sendPage(reply, page));
  await app.listen({ port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const leaving = new AbortController();
  // Kept, since an answer that is forgotten is given up.
  const unread: Response[] = [];
  const ask = async (caller: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}/`, {
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
  leaving.abort();
  await eventually(async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { 'x-caller': 'greedy' } });
    return (await answer.text()).length > page.text.length;
  });
  app.server.closeAllConnections();
  await app.close();
});

it('lets others have their turn while the entries of a page are written', async () => {
  let turns = 0;
  let isSending = true;
  const count = () => {
    turns++;
    if (isSending) setImmediate(count);
  };
  const before: number[] = [];
  const entry = {
    toJSON() {
      before.push(turns);
      for (const until = performance.now() + 2; performance.now() < until; );
      return 'entry';
    },
  };
  setImmediate(count);
  await answerTo({ entries: Array.from({ length: 50 }, () => entry) });
  isSending = false;
  expect(new Set(before).size).toBeGreaterThan(5);
});
