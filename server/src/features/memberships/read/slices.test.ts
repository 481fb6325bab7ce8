import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../../test/client.ts';
import { type Service, startService } from '../../../../test/service.ts';
import { createCursors } from '../../../paging/cursors.ts';
import { createDefinitionCache } from '../../segments/definitions.ts';
import { readRule } from '../../segments/segments.ts';
import { countOfMembers, membersPage } from './members-of-segment.ts';
import { overlapOf } from './overlap.ts';
import { previewOf } from './preview.ts';
import { previewOfChange } from './preview-change.ts';
import type { Progress } from './with-definitions.ts';

/** Far enough from each other that slices hold some of them, one, or none. */
const IDS = [10, 11, 12, 500_012, 500_013, 1_200_000, 1_200_001, 9_000_000, 9_000_001, 4_000_000_000];

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  await service.db.write(sql`
    INSERT INTO users (id, attributes) OVERRIDING SYSTEM VALUE
    SELECT id, jsonb_build_object('n', id % 4, 'name', 'Größe') FROM unnest(${IDS}::bigint[]) AS ids (id)`);
  await client.segment('rule', { condition: { n: { $in: [0, 1] } } });
  await client.segment('half', { percentage: 50, condition: { $notInSegment: 'rule' } });
  // SQL does not say patterns of letters that have a case.
  await client.segment('streamed', { condition: { name: { $regex: '^GRÖSSE|^größe', $options: 'i' } } });
  await client.segment('none', { condition: { n: 9 } });
  for (const slug of ['rule', 'streamed', 'none']) {
    for (const [i, id] of IDS.entries()) {
      if (i % 3 === 0) await client.put(id, slug, { mode: i % 2 ? 'include' : 'exclude' });
    }
  }
});
afterAll(() => service.stop());

function contextOf(progress?: Progress) {
  const { db } = service;
  const definitions = createDefinitionCache(db);
  return { db, definitions, cursors: createCursors('a secret of the tests'), ...(progress && { progress }) };
}

type Context = ReturnType<typeof contextOf>;

const questions: [string, (context: Context) => Promise<unknown>][] = [
  ...['rule', 'half', 'streamed', 'none'].flatMap((slug): [string, (context: Context) => Promise<unknown>][] => [
    [`count of ${slug}`, (context) => countOfMembers(context, slug)],
    [`page of ${slug}`, (context) => membersPage(context, slug, { limit: 1_000 }).then(({ users }) => users)],
    [`page of three of ${slug}`, (context) => membersPage(context, slug, { limit: 3 }).then(({ users }) => users)],
  ]),
  ['preview', async (context) => previewOf(context, (await readRule(service.db, { condition: { n: 1 } })).fields)],
  [
    'preview of a share',
    async (context) => {
      const { sample, ...counts } = await previewOf(context, (await readRule(service.db, { percentage: 100 })).fields);
      // There are more, and which of them are found first is not defined.
      return { ...counts, shown: sample.length };
    },
  ],
  [
    'preview of a change',
    async (context) =>
      previewOfChange(context, 'rule', await readRule(service.db, { condition: { n: { $in: [1, 2] } } })),
  ],
  ['overlap', (context) => overlapOf(context, ['rule', 'half', 'none'])],
];

it.each(questions)('%s: slice by slice as at once, and says how far it is', async (_, ask) => {
  const reached: number[] = [];
  const bySlices = await ask(
    contextOf((to, last) => {
      reached.push(to);
      expect(last).toBe(IDS.at(-1));
    }),
  );
  expect(bySlices).toEqual(await ask(contextOf()));
  expect(reached).toEqual(reached.toSorted((a, b) => a - b));
});

it.each(questions.filter(([name]) => name.startsWith('count of')))('%s stops when it is to', async (name, ask) => {
  let calls = 0;
  const stop = () => {
    calls += 1;
    throw new Error('the job was cancelled');
  };
  // All users of the streamed one are a single batch, after which there is nothing to stop.
  if (name === 'count of streamed') return;
  await expect(ask(contextOf(stop))).rejects.toThrow('the job was cancelled');
  expect(calls).toBe(1);
});

it('a page of the included does not go through all users', async () => {
  const reached: number[] = [];
  for (const id of [10, 11, 12, 500_012]) await client.put(id, 'none', { mode: 'include' });
  await membersPage(
    contextOf((to) => void reached.push(to)),
    'none',
    { limit: 2 },
  );
  expect(reached).toEqual([0]);
});
