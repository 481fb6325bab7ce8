import { expect, test } from 'vitest';
import { plainList } from '../../test/definitions.ts';
import { compileDefinition, type Definition } from './definition.ts';
import { definitionsOf, dependentsAmong } from './definitions.ts';

const naming = (id: number, ids: readonly number[]): Definition =>
  compileDefinition({
    ...plainList,
    id,
    slug: `S${id}`,
    condition: { $or: [{ n: 1 }, ...ids.map(($inSegment) => ({ $inSegment }))] },
  });

test('those that name a segment are found, directly or not', () => {
  const all = [naming(1, []), naming(2, [1]), naming(3, [2]), naming(4, []), naming(5, [4, 3])];
  const { byId } = definitionsOf(1, all);
  expect(dependentsAmong(byId, 2, all)).toEqual(new Set([2, 3, 5]));
  expect(dependentsAmong(byId, 5, all)).toEqual(new Set([5]));
  expect(dependentsAmong(byId, 1, [all[3] ?? naming(4, [])])).toEqual(new Set([1]));
});

test('each link of a chain is looked at few times, however many are asked about', () => {
  const length = 1_000;
  let looked = 0;
  const chain = Array.from({ length }, (_, i) => {
    const definition = naming(i + 1, i === 0 ? [] : [i]);
    return {
      ...definition,
      get references() {
        looked += 1;
        return definition.references;
      },
    };
  });
  const byId = new Map(chain.map((definition) => [definition.id, definition]));
  expect(dependentsAmong(byId, 1, chain).size).toBe(length);
  expect(looked).toBeLessThan(4 * length);
});
