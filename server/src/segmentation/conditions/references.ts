import { isObject } from '@kohort/contract';
import type { Condition } from './condition.ts';
import { isArray, type Json, type JsonObject } from './json.ts';
import type { Pattern } from './regex.ts';

/** A mention of a segment in a condition: which one, and the pointer to where. */
export interface Reference<Ref> {
  readonly segment: Ref;
  readonly at: string;
}

/** Every mention of a segment, in reading order; one segment may be mentioned more than once. */
export function references<Ref>(condition: Condition<Ref>): readonly Reference<Ref>[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.of.flatMap(references);
    case 'not':
      return references(condition.of);
    case 'segment':
      return [{ segment: condition.segment, at: condition.at }];
    case 'field':
      return [];
  }
}

/** The attributes that a condition looks at, by their outermost names. */
export function fieldsOf(condition: Condition<unknown>): ReadonlySet<string> {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return new Set(condition.of.flatMap((part) => [...fieldsOf(part)]));
    case 'not':
      return fieldsOf(condition.of);
    case 'segment':
      return new Set();
    case 'field':
      return new Set(condition.path.slice(0, 1));
  }
}

/** Whether a condition compares with a date that moves with the moment of the read, inside `$elemMatch` too. */
export function readsClock(condition: Condition<unknown>): boolean {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.of.some(readsClock);
    case 'not':
      return readsClock(condition.of);
    case 'segment':
      return false;
    case 'field': {
      const { test } = condition;
      if (test.kind === 'elements') return readsClock(test.condition);
      return test.kind === 'instant' && test.instant.kind === 'relative';
    }
  }
}

/**
 * How many nodes are put to a user. One inside `$elemMatch` is put to every element of an array, and counts as many times as an
 * array usually has elements.
 */
export function countNodes(condition: Condition<unknown>): number {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.of.reduce((sum, part) => sum + countNodes(part), 1);
    case 'not':
      return 1 + countNodes(condition.of);
    case 'segment':
      return 1;
    case 'field':
      return condition.test.kind === 'elements' ? 1 + usualElements * countNodes(condition.test.condition) : 1;
  }
}

const usualElements = 16;

/** The patterns that need an engine, those inside `$elemMatch` included. */
export function enginePatterns(condition: Condition<unknown>): readonly Pattern[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.of.flatMap(enginePatterns);
    case 'not':
      return enginePatterns(condition.of);
    case 'segment':
      return [];
    case 'field': {
      const { test } = condition;
      if (test.kind === 'elements') return enginePatterns(test.condition);
      return test.kind === 'pattern' && test.pattern.literal === undefined ? [test.pattern] : [];
    }
  }
}

/**
 * From the wire to the stored form: slugs become ids, so that a rename touches no condition. Takes a condition that has
 * been parsed, and an id for each of its references.
 */
export function toStored(wire: unknown, idOf: (slug: string) => number | undefined): JsonObject {
  return mapSegments(wire, (operand) => (typeof operand === 'string' ? idOf(operand) : undefined));
}

/** From the stored form to the wire: ids become the current slugs. */
export function toWire(stored: unknown, slugOf: (id: number) => string | undefined): JsonObject {
  return mapSegments(stored, (operand) => (typeof operand === 'number' ? slugOf(operand) : undefined));
}

type Mapping = (operand: unknown) => Json | undefined;

// Values hold no key that starts with $, so wherever $inSegment stands in a parsed condition it is the operator.
function mapSegments(condition: unknown, mapping: Mapping): JsonObject {
  if (!isObject(condition)) throw new TypeError('a condition is an object');
  const entries = Object.entries(condition).map(([name, value]): [string, Json] => {
    if (name !== '$inSegment' && name !== '$notInSegment') return [name, mapValue(value, mapping)];
    const mapped = mapping(value);
    if (mapped === undefined) throw new Error('a condition names an unknown segment');
    return [name, mapped];
  });
  return Object.fromEntries(entries);
}

function mapValue(value: unknown, mapping: Mapping): Json {
  if (isArray(value)) return value.map((entry) => mapValue(entry, mapping));
  if (isObject(value)) return mapSegments(value, mapping);
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string')
    return value;
  throw new TypeError('a condition is JSON');
}
