import { isObject } from '@kohort/contract';

/** A JSON value as `JSON.parse` makes it. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** A JSON object as `JSON.parse` makes it. */
export interface JsonObject {
  readonly [key: string]: Json;
}

/** `Array.isArray` that also narrows readonly arrays. */
export function isArray(value: Json | undefined): value is readonly Json[];
export function isArray(value: unknown): value is readonly unknown[];
export function isArray(value: unknown): boolean {
  return Array.isArray(value);
}

/** Structural equality that does not care for the order of keys, as `=` on jsonb. */
export function equals(a: Json | undefined, b: Json): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (isArray(a)) {
    return isArray(b) && a.length === b.length && a.every((entry, index) => equals(entry, b[index] ?? null));
  }
  if (isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && equals(a[key], b[key] ?? null));
}

/**
 * Compares by code point: the order of UTF-8 bytes, MongoDB's default and PostgreSQL's COLLATE "C". JavaScript's `<` is
 * the order of UTF-16 units, which puts U+1F600 before U+FF5E.
 */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above every other unit, so they are lifted over U+E000–U+FFFF. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** Whether `<` on UTF-16 units orders every string against this one by code point: it holds no unit from U+D800 on. */
export function isPlainlyOrdered(text: string): boolean {
  return !/[\uD800-\uFFFF]/.test(text);
}

/** One text for all values that are equal: JSON with the keys of every document in order. */
export function canonicalText(value: Json): string {
  if (isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (isObject(value)) {
    const entries = Object.keys(value)
      .sort()
      .map((name) => `${JSON.stringify(name)}:${canonicalText(value[name] ?? null)}`);
    return `{${entries.join(',')}}`;
  }
  // Never -0, which equals 0.
  return JSON.stringify(value === 0 ? 0 : value);
}
