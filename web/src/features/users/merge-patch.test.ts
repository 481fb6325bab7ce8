import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isObject, type Json, type JsonObject } from '../conditions/tree.ts';
import { mergePatch } from './merge-patch.ts';

/** RFC 7396, as it is written there. */
function apply(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const result: Record<string, Json> = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = apply(result[name], value);
  }
  return result;
}

it('leads from one object to the other', () => {
  const leaf = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.array(fc.integer(), { maxLength: 2 }));
  const name = fc.constantFrom('a', 'b', 'c');
  const object = fc.dictionary(name, fc.oneof(leaf, fc.dictionary(name, leaf, { maxKeys: 2 })), { maxKeys: 3 });
  fc.assert(
    fc.property(object, object, (before: JsonObject, after: JsonObject) => {
      expect(apply(before, mergePatch(before, after))).toEqual(after);
    }),
  );
});

it('is empty where nothing changed', () => {
  expect(mergePatch({ a: { b: 1 } }, { a: { b: 1 } })).toEqual({});
});
