import { endAll } from '@kohort/testkit/processes.ts';
import { afterAll, expect, it } from 'vitest';
import { rolling } from './scenarios/rolling.ts';
import { seededRandom } from './stage.ts';

afterAll(() => endAll());

it('two instances are replaced in turn while clients go on: refused connections and 503 are all they see', async () => {
  const [row] = await rolling({ quick: true, seed: 1, random: seededRandom(1), minutes: 1 });
  expect(row?.held, row?.seen).toBe(true);
});
