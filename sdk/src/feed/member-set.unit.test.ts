import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ExternalIdHash, MemberSet } from './member-set.ts';

const keys = new Uint32Array([1, 2, 3, 4]);
const maxId = Number.MAX_SAFE_INTEGER;

interface Step {
  readonly what: 'add' | 'remove' | 'erase';
  readonly user: number;
}

/** Users whose ids lie close, apart, and beyond 32 bits, some without an external id. */
const ids = [
  1,
  2,
  3,
  2 ** 32 + 1,
  2 ** 32 + 2,
  2 ** 33 + 1,
  maxId - 1,
  maxId,
  ...Array.from({ length: 60 }, (_, i) => 7 * i + 10),
];
const externalIdOf = (id: number) => (id % 5 === 0 ? null : `ext ${id}`);

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom('add', 'add', 'remove', 'erase'),
  user: fc.constantFrom(...ids),
});

test('a member set is the set that the changes fold to', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const members = new MemberSet(new ExternalIdHash(keys), { pageEntries: 4, minStale: 2 });
      const model = new Set<number>();
      for (const { what, user } of steps) {
        if (what === 'add') members.add(user, externalIdOf(user));
        else members.remove(user, what === 'remove' ? externalIdOf(user) : null);
        if (what === 'add') model.add(user);
        else model.delete(user);
      }
      expect(members.size).toBe(model.size);
      for (const id of ids) {
        expect(members.hasId(id)).toBe(model.has(id));
        const externalId = externalIdOf(id);
        if (externalId !== null) expect(members.hasExternalId(externalId)).toBe(model.has(id));
        expect(members.hasExternalId(String(id))).toBe(false);
      }
    }),
  );
});

test('an external id that was given again belongs to the new user', () => {
  const members = new MemberSet(new ExternalIdHash(keys));
  members.add(1, 'ann');
  members.remove(1, null);
  expect(members.hasExternalId('ann')).toBe(false);
  members.add(2, 'ann');
  expect(members.hasExternalId('ann')).toBe(true);
  // Delivered once more, late.
  members.remove(1, 'ann');
  expect(members.hasExternalId('ann')).toBe(true);
  members.remove(2, 'ann');
  expect([members.hasExternalId('ann'), members.size]).toEqual([false, 0]);
});

test('many members come, stay findable and leave', () => {
  const members = new MemberSet(new ExternalIdHash(keys));
  const all = Array.from({ length: 20_000 }, (_, i) => i + 1);
  for (const id of all) members.add(id, `ext ${id}`);
  expect(members.size).toBe(20_000);
  expect(all.every((id) => members.hasId(id) && members.hasExternalId(`ext ${id}`))).toBe(true);
  expect(all.some((id) => members.hasId(id + 20_000) || members.hasExternalId(`no ${id}`))).toBe(false);
  for (const id of all) members.remove(id, id % 2 === 0 ? `ext ${id}` : null);
  expect([members.size, all.some((id) => members.hasExternalId(`ext ${id}`))]).toEqual([0, false]);
});
