import { expect, test } from 'vitest';
import { decideAll, inOneGo, type Subject } from './decide.ts';
import { compileDefinition, type DefinitionSource, definitionsOf } from './definition.ts';

const subjectWith = (attributes: Subject['attributes']): Subject => ({ key: '1', attributes, overrides: new Map() });

const NOW = Date.parse('2026-11-26T12:00:00Z');

const segment = (fields: Partial<DefinitionSource>) =>
  compileDefinition({
    id: 1,
    slug: 'A',
    salt: 's',
    percentage: null,
    ramp: null,
    layer: null,
    bucket_by: null,
    condition: null,
    active_from: null,
    active_until: null,
    ...fields,
  });

function stepsOf(subject: Subject, patterns: readonly string[]): number {
  const condition = { $or: patterns.map(($regex) => ({ k: { $regex } })) };
  const definition = segment({ condition });
  const steps = decideAll(definitionsOf(1, [definition]), subject, NOW);
  let count = 0;
  while (!steps.next().done) count += 1;
  return count;
}

test('many patterns over long texts are a step each, so that others have their turn', () => {
  const patterns = Array.from({ length: 40 }, (_, i) => `[ab].{20}c${i}`);
  expect(stepsOf(subjectWith({ k: 'ab'.repeat(8_000) }), patterns)).toBeGreaterThan(40);
  expect(stepsOf(subjectWith({ k: 'ab' }), patterns)).toBe(1);
});

test('what was matched ahead decides', () => {
  const condition = { $or: Array.from({ length: 40 }, (_, i) => ({ k: { $regex: `[ab].{20}c${i}$` } })) };
  const definition = segment({ condition });
  const definitions = definitionsOf(1, [definition]);
  const decided = (k: string) => inOneGo(decideAll(definitions, subjectWith({ k }), NOW)).memberships.length;
  expect(decided(`${'ab'.repeat(8_000)}c39`)).toBe(1);
  expect(decided(`${'ab'.repeat(8_000)}c40`)).toBe(0);
});

test.each([
  ['each condition is a step', { condition: { k: 'a' } }, 500],
  ['shares are steps by 64', { percentage: 50 }, 7],
])('%s', (_, rule, expected) => {
  const definitions = Array.from({ length: 500 }, (_, i) =>
    segment({ id: i + 1, slug: `S${i}`, salt: `salt ${i}`, ...rule }),
  );
  let count = 0;
  const steps = decideAll(definitionsOf(1, definitions), subjectWith({}), NOW);
  while (!steps.next().done) count += 1;
  expect(count).toBe(expected);
});
