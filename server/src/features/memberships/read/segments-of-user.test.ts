import type { UserRef } from '@kohort/contract';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../../test/client.ts';
import { type Service, startService } from '../../../../test/service.ts';
import { createDefinitionCache } from '../../segments/definitions.ts';
import { segmentsContext, segmentsOf, slugsOf } from './segments-of-user.ts';
import { Visitors } from './visitors.ts';

/** Where every segment is a plain list: other statements than those of `memberships.test.ts`. */
let service: Service;
let client: Client;
let member = 0;
let alone = 0;

beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  member = await client.user({ external_id: 'member' });
  alone = await client.user({ external_id: 'alone; {1,2}' });
  for (const slug of ['B', 'A', 'NOT']) await client.segment(slug);
  for (const slug of ['B', 'A']) await client.add(member, slug);
  await client.put(member, 'NOT', { mode: 'exclude' });
});
afterAll(() => service.stop());

const nameOf = (ref: UserRef) => (ref.externalId === undefined ? String(ref.id) : `ext:${ref.externalId}`);

it.each<[string, () => UserRef[]]>([
  ['by id alone', () => [{ id: alone }, { id: 999_999 }, { id: member }, { id: alone }]],
  ['by external id alone', () => [{ externalId: 'alone; {1,2}' }, { externalId: 'nobody' }, { externalId: 'member' }]],
  ['by both', () => [{ externalId: 'alone; {1,2}' }, { id: 999_999 }, { externalId: 'member' }, { id: member }]],
])('finds users of one statement in the order asked, %s', async (_, refs) => {
  const isMember = (ref: UserRef) => ref.id === member || ref.externalId === 'member';
  const isKnown = (ref: UserRef) => isMember(ref) || ref.id === alone || ref.externalId === 'alone; {1,2}';
  for (const segments of [undefined, ['A', 'NOT']]) {
    const inLists = segments ? ['A'] : ['A', 'B'];
    const { body } = await client.call('POST', '/api/resolve', { users: refs().map(nameOf), segments });
    expect(body.results).toEqual(
      refs().map((ref) =>
        expect.objectContaining(isKnown(ref) ? { segments: isMember(ref) ? inLists : [] } : { segments: null }),
      ),
    );
  }
});

it('finds more users than one row brings', async () => {
  const strangers = Array.from({ length: 200 }, (_, i) => (i % 70 === 0 ? `ext:stranger ${i}` : String(900_000 + i)));
  const mixed = [...strangers, String(member), 'ext:alone; {1,2}'];
  const found = (await client.call('POST', '/api/resolve', { users: mixed })).body.results;
  expect(found.map((one: { user: string }) => one.user)).toEqual(mixed);
  const lists = found.map((one: { segments: string[] | null }) => one.segments);
  expect(lists).toEqual([...strangers.map(() => null), ['A', 'B'], []]);
});

it('finds users of full rows in the order asked', async () => {
  // By turns in a list, without an override, unknown.
  const created: { id: number; external: string }[] = [];
  for (let i = 0; i < 130; i++) {
    const external_id = `by turns ${i}`;
    const id = i % 3 === 2 ? 700_000 + i : await client.user({ external_id });
    if (i % 3 === 0) await client.add(id, 'A');
    created.push({ id, external: `ext:${external_id}` });
  }
  const names = {
    ids: created.map(({ id }) => String(id)),
    external: created.map(({ external }) => external),
    both: created.map(({ id, external }, i) => (i % 2 === 0 ? external : String(id))),
  };
  for (const all of Object.values(names)) {
    for (const size of [64, 65, 128, 130]) {
      for (const segments of [undefined, ['A', 'B']]) {
        const users = all.slice(0, size);
        const { results } = (await client.call('POST', '/api/resolve', { users, segments })).body;
        expect(results).toEqual(users.map((user, i) => ({ user, segments: [['A'], [], null][i % 3] })));
      }
    }
  }
});

/** Another user, whose visit makes this one forgotten. */
function sharingPlaceWith(id: number): number {
  const visitors = new Visitors();
  visitors.cameBefore(id);
  for (let other = id + 1; ; other++) {
    visitors.cameBefore(other);
    if (!visitors.cameBefore(id)) return other;
  }
}

/** The context of another process, with a look at how many answers it keeps. */
function reader() {
  const context = segmentsContext({ db: service.db, definitions: createDefinitionCache(service.db) });
  const read = async (...ids: number[]) =>
    (
      await segmentsOf(
        context,
        ids.map((id) => ({ id })),
      )
    ).map((body) => body && slugsOf(body));
  return {
    context,
    read,
    kept: () => ({ byOverrides: context.cached.byOverrides.size, byUser: context.cached.byUser.size }),
  };
}

it('keeps answers of lists from the second time on', async () => {
  const { read, kept } = reader();
  const sizes: unknown[] = [];
  for (let i = 0; i < 5; i++) {
    if (i === 3) await client.call('PATCH', '/api/segments/NOT', { description: 'changed' });
    expect(await read(member)).toEqual([['A', 'B']]);
    sizes.push(kept().byOverrides);
  }
  // What came before a change is known after it.
  expect(sizes).toEqual([0, 1, 1, 1, 1]);
  // Both have the same overrides: none.
  const stranger = await client.user({});
  expect(await read(alone, stranger)).toEqual([[], []]);
  expect(kept().byOverrides).toBe(2);
});

// These need a rule, so they come last: from then on the statement brings attributes too.
it('finds users with whatever attributes, more than one row brings', async () => {
  const odd = { texts: ['a\u001db\u001ec', '; {1,2}', '"\\u001d"', 'é😀'], '{}': null };
  await client.segment('ODD', { condition: { texts: 'a\u001db\u001ec' } });
  await client.segment('PLAIN', { condition: { texts: { $exists: false } } });
  const others: number[] = [];
  for (let i = 0; i < 70; i++)
    others.push(await client.user(i % 2 ? { attributes: odd } : { external_id: `plain ${i}; {}` }));
  const users = [...others, 999_999, member];
  const expected = [...others.map((_, i) => [i % 2 ? 'ODD' : 'PLAIN']), null, ['A', 'B', 'PLAIN']];
  // From the second time on they are remembered: the third time from there, and then one user anew.
  for (const attributes of [undefined, undefined, undefined, odd]) {
    if (attributes) {
      await client.call('PATCH', `/api/users/${member}`, { attributes });
      expected[others.length + 1] = ['A', 'B', 'ODD'];
    }
    const { results } = (await client.call('POST', '/api/resolve', { users: users.map(String) })).body;
    expect(results.map((one: { segments: string[] | null }) => one.segments)).toEqual(expected);
    expect((await client.call('GET', '/api/users/ext:plain%200;%20%7B%7D/segments')).body).toEqual({
      segments: ['PLAIN'],
    });
  }
});

it('keeps answers of users with rules from the second time on', async () => {
  const { context, read, kept } = reader();
  const before = [['A', 'B', 'ODD'], ['PLAIN']];
  const sizes: unknown[] = [];
  for (let i = 0; i < 5; i++) {
    if (i === 3) await client.call('PATCH', '/api/segments/PLAIN', { description: 'changed' });
    expect(await read(member, alone)).toEqual(before);
    sizes.push(kept().byUser);
  }
  // Who came before a change is known after it.
  expect(sizes).toEqual([0, 2, 2, 2, 2]);
  // An entry that holds no longer is replaced, even if its user was forgotten meanwhile.
  context.visitors.cameBefore(sharingPlaceWith(alone));
  await client.add(alone, 'B');
  expect(await read(member, alone)).toEqual([before[0], ['B', 'PLAIN']]);
  expect(context.cached.byUser.get(alone)?.body).toBe('{"segments":["B","PLAIN"]}');
});
