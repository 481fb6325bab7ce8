import { isObject } from '@kohort/contract';

/** A JSON object of unknown content. */
export type AnyObject = { readonly [key: string]: unknown };

/** JSON Merge Patch, RFC 7396, section 2. Changes neither argument. */
export function mergePatch(target: unknown, patch: AnyObject): AnyObject {
  const merged = new Map(Object.entries(isObject(target) ? target : {}));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, isObject(value) ? mergePatch(merged.get(key), value) : value);
  }
  return Object.fromEntries(merged);
}
