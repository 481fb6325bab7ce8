import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { begin, world } from './world.ts';

beforeAll(begin);
afterEach(async ({ task }) => {
  const hasFailed = task.result?.state === 'fail';
  const shown = hasFailed ? await world.describe() : '';
  await world.close(hasFailed);
  if (hasFailed) throw new Error(shown);
});
afterAll(async () => {
  await world.stop();
  expect(world.complaints).toEqual([]);
});

// One after the other, with one browser and one service: each journey goes on from what those before it left.
await import('./sign-in.ts');
await import('./segments.ts');
await import('./members.ts');
await import('./jobs.ts');
await import('./feeds.ts');
await import('./people.ts');
await import('./access.ts');
await import('./faults.ts');
await import('./reach.ts');
