import { isObject, isStorableText } from '@kohort/contract';
import type { Path, Scalar } from './condition.ts';
import { isArray, type Json } from './json.ts';
import { maxLevels, maxListEntries } from './limits.ts';
import { type Findings, pointer } from './parse-errors.ts';

const unstorable = 'NUL and lone surrogates are not allowed';

/** Reads a dotted path. */
export function readPath(name: string, findings: Findings, at: string): Path | undefined {
  if (!isStorableText(name)) return findings.refuse(at, unstorable);
  const path = name.split('.');
  if (path.length > maxLevels) return findings.refuse(at, `a path has at most ${maxLevels} names`);
  for (const part of path) {
    if (part === '') return findings.refuse(at, 'a path has no empty name');
    if (part === '__proto__') return findings.refuse(at, '__proto__ is not allowed');
    if (part.startsWith('$')) return findings.refuse(at, 'a name in a path does not start with $');
  }
  return path;
}

/** Reads a value to be compared with by equality. Copied, so the tree never changes with its source. */
export function readValue(value: unknown, findings: Findings, at: string, level = 0): Json | undefined {
  if (!findings.value(at)) return undefined;
  if (typeof value === 'object' && value !== null) {
    if (level === maxLevels) return findings.refuse(at, `a value has at most ${maxLevels} levels`);
    return isArray(value) ? readValues(value, findings, at, level + 1) : readDocument(value, findings, at, level);
  }
  return readScalar(value, findings, at);
}

/** Reads a value that has an order. */
export function readScalar(value: unknown, findings: Findings, at: string): Scalar | undefined {
  switch (typeof value) {
    case 'boolean':
      return value;
    case 'string':
      return isStorableText(value) ? value : findings.refuse(at, unstorable);
    case 'number':
      if (!Number.isFinite(value)) return findings.refuse(at, 'the number is out of range');
      return value === 0 ? 0 : value; // never -0: jsonb knows one zero
    default:
      return value === null ? null : findings.refuse(at, 'expected a number, a string, a boolean or null');
  }
}

/** Reads the entries of a list, or of an array in a value; stops at the first that is refused. */
export function readValues(
  entries: readonly unknown[],
  findings: Findings,
  at: string,
  level = 0,
): readonly Json[] | undefined {
  const copy: Json[] = [];
  for (const [index, entry] of entries.entries()) {
    // Pointers to thousands of entries would cost more than all the rest, so only what may be refused gets one.
    const isPlain = isPlainScalar(entry);
    if (isPlain && !findings.value(at)) return undefined;
    const json = isPlain ? entry : readValue(entry, findings, pointer(at, index), level);
    if (json === undefined) return undefined;
    copy.push(json);
  }
  return copy;
}

/** Reads the entries of a list that holds neither arrays nor documents. */
export function readScalars(
  entries: readonly unknown[],
  findings: Findings,
  at: string,
): readonly Scalar[] | undefined {
  const copy: Scalar[] = [];
  for (const [index, entry] of entries.entries()) {
    if (!findings.value(at)) return undefined;
    const scalar = isPlainScalar(entry) ? entry : readScalar(entry, findings, pointer(at, index));
    if (scalar === undefined) return undefined;
    copy.push(scalar);
  }
  return copy;
}

function isPlainScalar(value: unknown): value is Scalar {
  if (typeof value === 'string') return isStorableText(value);
  return (
    value === null || typeof value === 'boolean' || (typeof value === 'number' && value !== 0 && Number.isFinite(value))
  );
}

function readDocument(value: object, findings: Findings, at: string, level: number): Json | undefined {
  const copy: Record<string, Json> = {};
  for (const [name, entry] of Object.entries(value)) {
    const here = pointer(at, name);
    if (!isStorableText(name)) return findings.refuse(here, unstorable);
    if (name === '__proto__') return findings.refuse(here, '__proto__ is not allowed');
    // MongoDB would compare with a document that has such a key; it is always a misplaced operator.
    if (name.startsWith('$')) return findings.refuse(here, `${name} is not allowed inside a value`);
    const json = readValue(entry, findings, here, level + 1);
    if (json === undefined) return undefined;
    copy[name] = json;
  }
  return copy;
}

/** Reads a list of at most 1,000 entries. */
export function readList(value: unknown, findings: Findings, at: string): readonly unknown[] | undefined {
  if (!isArray(value)) return findings.refuse(at, 'expected a list');
  if (value.length > maxListEntries) return findings.refuse(at, `a list has at most ${maxListEntries} entries`);
  return value;
}

/** Whether a value is an operator document (`{"$gt": 1}`) and not a value to be equal to. */
export function isOperators(value: unknown): value is Readonly<Record<string, unknown>> {
  return isObject(value) && Object.keys(value).some((name) => name.startsWith('$'));
}
