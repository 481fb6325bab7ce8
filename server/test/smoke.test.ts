import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Service, startService } from './service.ts';

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

it('answers', async () => {
  expect((await service.call('GET', '/readyz')).body).toEqual({ status: 'ok' });
});
