import fastify from 'fastify';
import { expect, it } from 'vitest';
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
