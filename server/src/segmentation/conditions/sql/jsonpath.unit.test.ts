import sql from 'sql-template-tag';
import { expect, test } from 'vitest';
import { parseStoredCondition } from '../parse.ts';
import { elementExistsSql, pathExistsSql } from './jsonpath.ts';

/** The jsonpath of a condition on one field; undefined where there is none. */
function jsonpathOf(input: object): unknown {
  const parsed = parseStoredCondition(input);
  if (!parsed.ok || parsed.condition.kind !== 'field') throw new Error('not a condition on one field');
  const { path, test: asked } = parsed.condition;
  const found = asked.kind === 'elements' ? elementExistsSql(sql`v`, asked) : pathExistsSql(sql`v`, path, asked);
  return found?.values[0];
}

test.each<[object, string | undefined]>([
  [{ 'a.b': { $exists: true } }, 'lax $."a"."b"'],
  [{ 'a.b': { $gt: 'x' } }, 'lax $."a"."b" ? (@.type() == "string" && @ > $x0)'],
  [{ a: { $in: [1, 'x'] } }, 'lax $."a" ? (@.type() != "array" && @ == $x0[*])'],
  [{ a: { $regex: 'x' } }, 'lax $."a" ? (@.type() == "string" && @ like_regex "x" flag "q")'],
  [{ a: { $regex: '^x' } }, 'lax $."a" ? (@.type() == "string" && @ starts with $x0)'],
  [{ a: { $regex: '^x$' } }, 'lax $."a" ? (@.type() == "string" && @ == $x0)'],
  [{ a: { $regex: 'x$' } }, undefined],
  [{ a: { $mod: [4, 0] } }, undefined],
  [
    { a: { $elemMatch: { $gt: 1 } } },
    'lax $ ? ((@.type() != "array" && exists(@ ? (@.type() == "number" && @ > $x0))))',
  ],
  [{ a: { $elemMatch: { $size: 2 } } }, 'lax $ ? ((@.type() == "array" && @.size() == $x0))'],
  [{ a: { $elemMatch: { $exists: true } } }, 'lax $ ? ((1 == 1))'],
  [
    { a: { $elemMatch: { 'b.c': 1 } } },
    'lax $ ? (@.type() == "object" && (exists(@."b"."c" ? (@.type() == "number" && @ == $x0))))',
  ],
  [
    { a: { $elemMatch: { b: { $ne: 1 } } } },
    'lax $ ? (@.type() == "array" || (@.type() == "object" && (!(exists(@."b" ? (@.type() == "number" && @ == $x0))))))',
  ],
  [
    { a: { $elemMatch: { b: null } } },
    'lax $ ? (@.type() == "array" || (@.type() == "object" && (!exists(@."b") || exists(@."b" ? (@.type() == "null" && @ == $x0)))))',
  ],
  [{ a: { $elemMatch: { 'b.c': null } } }, undefined],
  [{ a: { $elemMatch: { 'b.0': 1 } } }, undefined],
])('%j as jsonpath', (condition, jsonpath) => {
  expect(jsonpathOf(condition)).toBe(jsonpath);
});
