import { type Endpoint, endpoint, page, strict } from '@kohort/contract';
import { eventually } from '@kohort/testkit/eventually.ts';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { anonymous, type Caller } from './caller.ts';
import { createRouter } from './route.ts';
import { createWebServer } from './server.ts';

const pages: Endpoint & { readonly success: { readonly status: 200; readonly body: null } } = endpoint({
  method: 'GET',
  path: '/pages',
  id: 'pages',
  tag: 'test',
  summary: 'pages',
  access: 'viewer',
  query: strict(page),
  success: { status: 200, body: null },
});

const web = createWebServer({ logLevel: 'silent', trustProxy: [], translate: () => undefined });
/** The pages whose reading began, in order, each with what ends it. */
let reading: { readonly actor: string; readonly end: () => void }[] = [];
let answered: string[] = [];

beforeAll(async () => {
  const callerOf = (actor: string): Caller => ({ ...anonymous, kind: 'key', role: 'viewer', actor });
  const { route } = createRouter(web.app, {
    authenticate: async (token) => callerOf(token),
    known: () => undefined,
    seedIsOpen: false,
    refuseUnseen: async () => undefined,
  });
  route(pages, async ({ caller: { actor }, query }) => {
    if (query.limit === 101) await new Promise<void>((end) => reading.push({ actor, end }));
    return undefined;
  });
  await web.app.ready();
});
beforeEach(() => {
  reading = [];
  answered = [];
});
afterAll(() => web.app.close());

async function ask(actor: string, limit: number): Promise<{ status: number; retryAfter: unknown }> {
  const { statusCode, headers } = await web.app.inject({
    url: `/pages?limit=${limit}`,
    headers: { authorization: `Bearer ${actor}` },
  });
  answered.push(actor);
  return { status: statusCode, retryAfter: headers['retry-after'] };
}
const many = (count: number, actor: string) => Array.from({ length: count }, () => ask(actor, 101));
const readingOf = (actor: string) => reading.filter((one) => one.actor === actor).length;
/** Nothing more begins: a call sent after the others has been answered. */
async function settled(count: number): Promise<void> {
  await eventually(async () => reading.length >= count);
  expect((await ask('small', 100)).status).toBe(200);
  expect(reading).toHaveLength(count);
}
/** Ends pages one after another, until all of these are answered. */
async function endAll(calls: readonly Promise<unknown>[]): Promise<void> {
  let isDone = false;
  void Promise.allSettled(calls).then(() => {
    isDone = true;
  });
  while (!isDone) {
    for (const { end } of reading) end();
    await new Promise(setImmediate);
  }
}

it('few large pages are read at once, and one caller has as many as are left for the others', async () => {
  const greedy = many(10, 'greedy');
  await settled(4);
  const next = many(10, 'next');
  await settled(6);
  const third = many(10, 'third');
  await settled(7);
  expect(['greedy', 'next', 'third'].map(readingOf)).toEqual([4, 2, 1]);

  // The others wait longer, but have as many as are free.
  reading.find(({ actor }) => actor === 'greedy')?.end();
  await eventually(async () => answered.includes('greedy'));
  await settled(8);
  expect(readingOf('third')).toBe(2);
  await endAll([...greedy, ...next, ...third]);
  expect((await Promise.all([...greedy, ...next, ...third])).every(({ status }) => status === 200)).toBe(true);
});

it('so many may wait for that, and more are refused, but not small pages', async () => {
  const waiting = many(4 + 500, 'greedy');
  await settled(4);
  expect(await ask('greedy', 101)).toEqual({ status: 503, retryAfter: '1' });
  const other = ask('other', 101);
  await settled(5);
  await endAll([...waiting, other]);
  expect(new Set((await Promise.all([...waiting, other])).map(({ status }) => status))).toEqual(new Set([200]));
});
