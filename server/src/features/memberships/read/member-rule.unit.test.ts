import { expect, it } from 'vitest';
import { plainList } from '../../../../test/definitions.ts';
import type { JsonObject } from '../../../segmentation/conditions/json.ts';
import { compileDefinition } from '../../../segmentation/definition.ts';
import { definitionsOf } from '../../../segmentation/definitions.ts';
import { memberSql, setsSql } from './member-rule.sql.ts';

/** A sixth of the parameters of a statement. */
const long = { $or: Array.from({ length: 300 }, () => ({ 'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p': { $ne: null } })) };

const define = (id: number, condition: JsonObject) =>
  compileDefinition({ ...plainList, id, slug: `S${id}`, condition });

/** Definitions of long conditions, which note whose condition is looked at. */
function noted(count: number) {
  const looked = new Set<number>();
  const definitions = Array.from({ length: count }, (_, i) => {
    const definition = define(i + 1, long);
    return {
      ...definition,
      get condition() {
        looked.add(definition.id);
        return definition.condition;
      },
    };
  });
  return { definitions, looked };
}

const asked = { now: 0, isDistributed: false };

it('conditions that do not fit into one statement are not all said in SQL', () => {
  const { definitions, looked } = noted(24);
  const naming = define(100, { $and: definitions.map(({ id }) => ({ $inSegment: id })) });
  const all = definitionsOf(1, [...definitions, naming]);
  looked.clear();
  expect(memberSql(all, naming, asked)).toBeUndefined();
  expect(looked.size).toBeLessThan(6);

  looked.clear();
  expect(setsSql(all, definitions.slice(0, 10), asked)).toBeUndefined();
  expect(looked.size).toBeLessThan(6);
});
