import sql from 'sql-template-tag';
import { expect, test } from 'vitest';
import { parseStoredCondition } from '../parse.ts';
import { conditionSql, filterSql } from './compile.ts';

const path = 'a.0.1.2.3.4.5.6.7.8.9.10.11.12.13.14';

/** How many fields of a condition are said, and whether all of it is. */
function saidOf(say: typeof conditionSql, fields: number): { said: number; isWhole: boolean } {
  const parsed = parseStoredCondition({
    $or: Array.from({ length: fields }, () => ({ [path]: { $in: [null, [1]] } })),
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors[0]));
  let said = 0;
  const context = {
    get attributes() {
      said += 1;
      return sql`u.attributes`;
    },
    inSegment: () => sql`false`,
    now: 0,
    mayUnfold: true,
  };
  said = 0;
  const isWhole = say(parsed.condition, context) !== undefined;
  return { said, isWhole };
}

test.each([
  ['a condition', conditionSql],
  ['a filter', filterSql],
] as const)('%s that is too long for a statement is not said to its end', (_, say) => {
  const few = saidOf(say, 10);
  expect(few.isWhole).toBe(true);
  const many = saidOf(say, 990);
  expect(many.isWhole).toBe(false);
  expect(many.said).toBeLessThan(500);
});
