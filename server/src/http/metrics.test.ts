import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '@kohort/contract';
import { exchange } from '@kohort/testkit/wire.ts';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { measureRequests } from './metrics.ts';
import { createWebServer } from './server.ts';

const web = createWebServer({ logLevel: 'silent', trustProxy: [], translate: () => undefined });
const registry = new Registry();
const observe = measureRequests(web, registry, () => registry.metrics())('GET', '/slow');
let port = 0;
beforeAll(async () => {
  web.app.get('/slow', async () => 'never reached by the framework');
  web.fastPath.open({
    method: 'GET',
    pattern: /^\/slow$/,
    observe,
    answer: () => sleep(50).then(() => Promise.reject(new Problem('overloaded', 'Too slow.'))),
  });
  port = Number(new URL(await web.app.listen({ port: 0, host: '127.0.0.1' })).port);
});
afterAll(() => web.app.close());

it('a call that failed in the fast path has taken the time since it came in', async () => {
  expect((await exchange(port, 'GET /slow HTTP/1.1\r\nHost: x\r\n\r\n')).status).toBe(503);
  const { text } = await exchange(port, 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
  const sum = /_sum\{method="GET",route="\/slow",status="503"\} ([0-9.]+)/.exec(text)?.[1];
  expect(Number(sum)).toBeGreaterThan(0.045);
});
