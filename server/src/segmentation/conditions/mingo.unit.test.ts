import { isObject } from '@kohort/contract';
import fc from 'fast-check';
import { Query } from 'mingo';
import { expect, test } from 'vitest';
import { attributes, condition, KNOWN_TO_MINGO } from '../../../test/conditions/random.ts';
import { type Condition, matchesMissing, type Path, type Test } from './condition.ts';
import { compileCondition } from './evaluate.ts';
import { Evaluation } from './evaluation.ts';
import { isArray, isPlainlyOrdered, type Json, type JsonObject } from './json.ts';
import { parseStoredCondition } from './parse.ts';

const CONDITIONS = 800;
const USERS = 20;

test('answers as mingo does, but where mingo is not MongoDB', async ({ annotate }) => {
  let compared = 0;
  let excused = 0;
  const users = fc.array(attributes(KNOWN_TO_MINGO), { minLength: USERS, maxLength: USERS });
  const cases = users.chain((found) => fc.tuple(condition(KNOWN_TO_MINGO, found), fc.constant(found)));
  fc.assert(
    fc.property(cases, ([query, found]) => {
      const parsed = parseStoredCondition(query);
      if (!parsed.ok) throw new Error(`a random condition is refused: ${JSON.stringify([query, parsed.errors])}`);
      const evaluate = compileCondition(parsed.condition);
      const oracle = new Query({ ...query });
      for (const user of found) {
        if (mingoDeparts(parsed.condition, user)) {
          excused += 1;
          continue;
        }
        compared += 1;
        const answer = evaluate(user, new Evaluation(0, () => false));
        if (answer === oracle.test({ ...user })) continue;
        throw new Error(`mingo says ${!answer}: ${JSON.stringify({ query, user })}`);
      }
    }),
    { numRuns: CONDITIONS },
  );
  await annotate(`${compared} pairs compared, ${excused} excused`);
  expect(compared).toBeGreaterThan((CONDITIONS * USERS) / 2);
});

/**
 * Where mingo 7.2 is known not to do as MongoDB's matcher does (src/mongo/db/matcher/path.cpp, expression_leaf.cpp):
 * 1. text is UTF-16 units: ordered by them, and a dot in a pattern is one of them; MongoDB's is UTF-8 and code points;
 * 2. `$gte` and `$lte` of null do not match a missing field, MongoDB's do;
 * 3. where a dotted path meets an array, mingo gathers what it finds into one array and asks that: missing fields of the
 *    documents in it are lost, `$exists`, `$size`, `$elemMatch` and arrays at the end see the wrong array, and with two
 *    arrays on the way nothing is found in the inner ones.
 * Not drawn at all: `$all`, which mingo denies to a scalar; documents with a key `constructor`, on which its `$in` throws;
 * arrays in arrays, which it flattens; numbers in paths, which it takes for indexes only. The tables in evaluate.test.ts have these from MongoDB's manual and its own tests.
 */
function mingoDeparts(node: Condition<number>, user: JsonObject): boolean {
  switch (node.kind) {
    case 'and':
    case 'or':
      return node.of.some((part) => mingoDeparts(part, user));
    case 'not':
      return mingoDeparts(node.of, user);
    case 'segment':
      return false;
    case 'field':
      return departsInText(node.test) || departsOnTheWay(node.path, node.test, user);
  }
}

function departsInText(asked: Test): boolean {
  if (asked.kind === 'elements') return departsInElements(asked.condition);
  if (asked.kind === 'pattern') return asked.pattern.source.includes('.');
  if (asked.kind !== 'compare') return false;
  return typeof asked.value === 'string' ? !isPlainlyOrdered(asked.value) : asked.value === null;
}

function departsInElements(node: Condition<never>): boolean {
  switch (node.kind) {
    case 'and':
    case 'or':
      return node.of.some(departsInElements);
    case 'not':
      return departsInElements(node.of);
    case 'field':
      return departsInText(node.test);
    default:
      return false;
  }
}

function departsOnTheWay(path: Path, asked: Test, user: JsonObject): boolean {
  const [first = '', ...rest] = path;
  const [arrays, ends] = walk(user[first], rest);
  if (arrays === 0) return false;
  if (arrays > 1 || ends.some(isArray)) return true;
  return matchesMissing(asked) || !['equal', 'in', 'compare', 'pattern'].includes(asked.kind);
}

/** How many arrays the path meets in each other before its end, and the values it ends in. */
function walk(value: Json | undefined, rest: Path): [arrays: number, ends: readonly Json[]] {
  const [next, ...others] = rest;
  if (value === undefined) return [0, []];
  if (next === undefined) return [0, [value]];
  if (!isArray(value)) return isObject(value) ? walk(value[next], others) : [0, []];
  const inner = value.filter((entry) => isObject(entry)).map((entry) => walk(entry, rest));
  return [1 + Math.max(0, ...inner.map(([arrays]) => arrays)), inner.flatMap(([, ends]) => ends)];
}
