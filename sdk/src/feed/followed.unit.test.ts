import { expect, test } from 'vitest';
import type { Change, Definition } from '../api.ts';
import { Followed, readUser } from './followed.ts';

const definition = (slug: string, ...tags: string[]): Definition => ({
  slug,
  description: null,
  tags,
  percentage: null,
  condition: null,
  bucket_by: null,
  ramp: null,
  layer: null,
  active_from: null,
  active_until: null,
});
const base = { id: '1', at: '2026-11-26T08:00:00.000Z', cause: 'add', actor: 'user:1' } as const;
const member = (type: 'entered' | 'left', slug: string, user_id: number, external_id: string | null): Change => ({
  ...base,
  type,
  slug,
  user_id,
  external_id,
});
const redefined = (before: Definition | null, after: Definition | null): Change => ({
  ...base,
  type: 'segment',
  slug: (after ?? before)?.slug ?? '',
  user_id: null,
  external_id: null,
  before,
  after,
});

function followedWith(tags: string[] | null, ...slugs: string[]): Followed {
  const followed = new Followed();
  followed.begin(slugs, tags);
  return followed;
}
const ann = readUser('ext:ann');

test('users enter and leave, by both of their names', () => {
  const followed = followedWith(null, 'A', 'B');
  followed.add({ slug: 'A', user_id: 2, external_id: 'ann' });
  followed.apply(member('entered', 'B', 3, null));
  expect([followed.has(ann, 'A'), followed.has(readUser('2'), 'A'), followed.has(ann, 'B')]).toEqual([
    true,
    true,
    false,
  ]);
  expect(followed.has(readUser('3'), 'B')).toBe(true);
  followed.apply(member('left', 'A', 2, 'ann'));
  expect([followed.has(ann, 'A'), followed.has(readUser('2'), 'A')]).toEqual([false, false]);
});

test('a segment is followed under its new slug, and not at all once it is deleted', () => {
  const followed = followedWith(null, 'A', 'B');
  followed.apply(member('entered', 'A', 2, 'ann'));
  followed.apply(redefined(definition('A'), definition('NEW')));
  expect(followed.slugs).toEqual(['B', 'NEW']);
  expect([followed.has(ann, 'NEW'), followed.has(ann, 'A')]).toEqual([true, undefined]);
  followed.apply(member('left', 'NEW', 2, 'ann'));
  followed.apply(redefined(definition('NEW'), null));
  expect(followed.has(ann, 'NEW')).toBeUndefined();
});

test('a feed by tags follows what carries one of them', () => {
  const followed = followedWith(['web'], 'A');
  followed.apply(redefined(null, definition('B', 'web', 'x')));
  followed.apply(redefined(definition('C'), definition('C', 'x')));
  expect(followed.slugs).toEqual(['A', 'B']);
  followed.apply(redefined(definition('A', 'web'), definition('A')));
  expect(followed.slugs).toEqual(['B']);
});

test('it knows when the feed follows something else', () => {
  const followed = followedWith(null, 'A', 'B');
  expect(followed.isOf({ segments: ['B', 'A'], tags: null })).toBe(true);
  expect(followed.isOf({ segments: ['A'], tags: null })).toBe(false);
  const tagged = followedWith(['web', 'x'], 'A');
  expect(tagged.isOf({ segments: null, tags: ['x', 'web'] })).toBe(true);
  expect(tagged.isOf({ segments: null, tags: ['x'] })).toBe(false);
});

test.each(['', '0', '-1', '01', '1e3', 'ann', '9007199254740993', ' 2'])('%j is no user', (user) => {
  expect(() => readUser(user)).toThrow(TypeError);
});
