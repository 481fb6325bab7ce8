import { isObject } from '@kohort/contract';
import { flawOfName } from '../users/users.ts';

/** The most characters in a line of NDJSON: it is parsed, checked and serialized in one turn of the event loop. */
const maxChars = 256 * 1024;
const maxDepth = 64;

export type JsonObject = Readonly<Record<string, unknown>>;

/** Client data, shortened for a message. */
export function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60).toWellFormed()}…` : text;
}

export function quoted(text: string): string {
  return JSON.stringify(shortened(text));
}

/** Parses a line as a JSON object, or returns what is wrong with it. */
export function parseObject(text: string): { value: JsonObject } | { fault: string } {
  if (text.length > maxChars) return { fault: 'is longer than 256 KiB, the most that an object may have' };
  const parsed = parseJson(text);
  if ('fault' in parsed) return { fault: `is ${parsed.fault}` };
  if (!isObject(parsed.value)) return { fault: 'is not a JSON object' };
  const twice = repeatedName(text, parsed.value);
  return twice === undefined ? { value: parsed.value } : { fault: `has the name ${quoted(twice)} twice in one object` };
}

export function parseJson(text: string): { value: unknown } | { fault: string } {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return { fault: 'not JSON' };
  }
}

/** The number of names of all objects in a value. */
function countNames(root: unknown): number {
  let names = 0;
  const stack = [root];
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    const children = Object.values(value);
    if (!Array.isArray(value)) names += children.length;
    for (const child of children) if (typeof child === 'object' && child !== null) stack.push(child);
  }
  return names;
}

function occurrences(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + part.length)) count++;
  return count;
}

/**
 * A name that one of the objects has twice: `JSON.parse` silently keeps the last. Usually the text has as many names as the value,
 * and no further check is needed.
 */
export function repeatedName(text: string, value: unknown): string | undefined {
  if (occurrences(text, '":') === countNames(value) && !/"[ \t\r]+:/.test(text)) return undefined;
  const objects: Set<string>[] = [];
  for (const [token, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"([ \t\r\n]*:)?|[{}]/g)) {
    if (token === '{') objects.push(new Set());
    else if (token === '}') objects.pop();
    else if (colon !== undefined) {
      const name = String(JSON.parse(token.slice(0, -colon.length)));
      const names = objects.at(-1);
      if (names?.has(name)) return name;
      names?.add(name);
    }
  }
  return undefined;
}

/** Finds JSON that attributes cannot store unchanged, or that no condition can refer to. `root` was parsed from `text`. */
export function attributesFault(root: unknown, text: string): string | undefined {
  const stack: { value: unknown; depth: number }[] = [{ value: root, depth: 0 }];
  for (let one = stack.pop(); one !== undefined; one = stack.pop()) {
    const { value, depth } = one;
    if (typeof value !== 'object' || value === null) {
      const fault = scalarFault(value);
      if (fault !== undefined) return fault;
      continue;
    }
    if (depth === maxDepth) return `must not nest deeper than ${maxDepth}`;
    for (const [name, child] of Object.entries(value)) {
      const fault = Array.isArray(value) ? undefined : nameFault(name);
      if (fault !== undefined) return fault;
      stack.push({ value: child, depth: depth + 1 });
    }
  }
  return inexactInteger(text);
}

export function textFault(text: string): string | undefined {
  if (text.includes('\0')) return 'must not hold NUL';
  return text.isWellFormed() ? undefined : 'must not hold a lone surrogate';
}

function scalarFault(value: unknown): string | undefined {
  if (typeof value === 'string') return textFault(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return 'must be within the range of a double';
  return undefined;
}

/** Why a name is not valid for an attribute. */
export function nameFault(name: string): string | undefined {
  if (name === '__proto__') return 'must not have a key __proto__';
  switch (flawOfName(name)) {
    case 'empty':
      return 'must not have an empty name';
    case 'dot':
      return `must not have a dot in the name ${quoted(name)}: no condition could ask for it`;
    case 'dollar':
      return `must not have the name ${quoted(name)}: it begins with $`;
    default:
      return textFault(name);
  }
}

/** Whether a number would be stored as another one. */
export function isInexact(literal: string): boolean {
  return /^-?\d{16,}$/.test(literal) && BigInt(literal) !== BigInt(Number(literal));
}

/** An integer in the text, outside of strings, that a double cannot represent exactly. */
function inexactInteger(text: string): string | undefined {
  if (!/\d{16}/.test(text)) return undefined;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g)) {
    if (isInexact(token))
      return `must not hold the integer ${quoted(token)}: a double cannot hold it exactly; send it as text`;
  }
  return undefined;
}
