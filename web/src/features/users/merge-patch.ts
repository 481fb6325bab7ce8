import { isObject, type Json, type JsonObject } from '../conditions/tree.ts';

/** The JSON merge patch (RFC 7396) that turns one object into another; empty if they are equal. */
export function mergePatch(before: JsonObject, after: JsonObject): JsonObject {
  const patch: Record<string, Json> = {};
  for (const name of Object.keys(before)) if (!Object.hasOwn(after, name)) patch[name] = null;
  for (const [name, value] of Object.entries(after)) {
    const was = before[name];
    if (JSON.stringify(was) === JSON.stringify(value)) continue;
    patch[name] = isObject(was) && isObject(value) ? mergePatch(was, value) : value;
  }
  return patch;
}
