import { expect, test } from 'vitest';
import { decideAll, inOneGo, type Subject } from './decide.ts';
import { compileDefinition, definitionsOf } from './definition.ts';

const subjectWith = (attributes: Subject['attributes']): Subject => ({ key: '1', attributes, overrides: new Map() });

function stepsOf(subject: Subject, patterns: readonly string[]): number {
  const condition = { $or: patterns.map(($regex) => ({ k: { $regex } })) };
  const definition = compileDefinition({ id: 1, slug: 'A', salt: 's', percentage: null, condition });
  const steps = decideAll(definitionsOf(1, [definition]), subject);
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
  const definition = compileDefinition({ id: 1, slug: 'A', salt: 's', percentage: null, condition });
  const definitions = definitionsOf(1, [definition]);
  const decided = (k: string) => inOneGo(decideAll(definitions, subjectWith({ k }))).length;
  expect(decided(`${'ab'.repeat(8_000)}c39`)).toBe(1);
  expect(decided(`${'ab'.repeat(8_000)}c40`)).toBe(0);
});

test('each segment is a step', () => {
  const definitions = Array.from({ length: 500 }, (_, i) =>
    compileDefinition({ id: i + 1, slug: `S${i}`, salt: `salt ${i}`, percentage: 50, condition: null }),
  );
  let count = 0;
  const steps = decideAll(definitionsOf(1, definitions), subjectWith({}));
  while (!steps.next().done) count += 1;
  expect(count).toBe(500);
});
