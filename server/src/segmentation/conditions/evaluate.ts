import { isObject } from '@kohort/contract';
import { type Condition, indexOf, isAboutWholeArray, matchesMissing, type Path, type Test } from './condition.ts';
import type { Evaluation } from './evaluation.ts';
import { isArray, type Json, type JsonObject } from './json.ts';
import {
  type CompiledTest,
  compileElementsTest,
  compileTest,
  type ElementTest,
  type ValueTest,
  withElements,
} from './matchers.ts';

/** Whether a user with these attributes, as `JSON.parse` makes them, meets a condition. */
export type Evaluate = (attributes: JsonObject, evaluation: Evaluation) => boolean;

type Predicate<Subject> = (subject: Subject, evaluation: Evaluation) => boolean;
type Field = Extract<Condition<never>, { kind: 'field' }>;

/**
 * Compiles a condition to closures. All that can be known beforehand is: paths are split, lists are sets, tests are
 * chosen by type; an evaluation itself allocates nothing but what versions and patterns need.
 */
export function compileCondition(condition: Condition<number>): Evaluate {
  return compile(condition, documentField);
}

/** Compiles the logic of a condition; how a field is found depends on what the condition speaks of. */
function compile<Subject>(
  condition: Condition<number>,
  compileField: (field: Field) => Predicate<Subject>,
): Predicate<Subject> {
  switch (condition.kind) {
    case 'and':
      return every(condition.of.map((part) => compile(part, compileField)));
    case 'or':
      return some(condition.of.map((part) => compile(part, compileField)));
    case 'not': {
      const inner = compile(condition.of, compileField);
      return (subject, evaluation) => !inner(subject, evaluation);
    }
    case 'segment': {
      const { segment } = condition;
      return (_, evaluation) => evaluation.inSegment(segment);
    }
    case 'field':
      return compileField(condition);
  }
}

function every<Subject>(parts: readonly Predicate<Subject>[]): Predicate<Subject> {
  const [first, second] = parts;
  if (first === undefined) return () => true;
  if (parts.length === 2 && second !== undefined) {
    return (subject, evaluation) => first(subject, evaluation) && second(subject, evaluation);
  }
  return (subject, evaluation) => {
    for (const part of parts) if (!part(subject, evaluation)) return false;
    return true;
  };
}

function some<Subject>(parts: readonly Predicate<Subject>[]): Predicate<Subject> {
  return (subject, evaluation) => {
    for (const part of parts) if (part(subject, evaluation)) return true;
    return false;
  };
}

/** A field of a document. */
function documentField({ path, test }: Field): Predicate<JsonObject> {
  const compiled = compileAnyTest(test);
  const leaf = isAboutWholeArray(test) ? compiled.single : withElements(compiled);
  const [name = ''] = path;
  if (path.length > 1) {
    const found = walker(path, compiled.single, leaf);
    if (!matchesMissing(test)) return found;
    // Where the path leads to nothing at all, not even to a document without the field, that is null too: MongoDB 9.0.
    const exists = walker(path, isThere, isThere);
    return (document, evaluation) => found(document, evaluation) || !exists(document, evaluation);
  }
  if (isInherited(name)) {
    return (document, evaluation) => leaf(Object.hasOwn(document, name) ? document[name] : undefined, evaluation);
  }
  return (document, evaluation) => leaf(document[name], evaluation);
}

const isThere: ValueTest = (value) => value !== undefined;

/** The element itself, inside `$elemMatch`: an array in an array is not looked into. */
function elementItself({ test }: Field): Predicate<Json> {
  return compileAnyTest(test).single;
}

function compileAnyTest(test: Test): CompiledTest {
  return test.kind === 'elements' ? compileElementsTest(elementTest(test)) : compileTest(test);
}

function elementTest({ as, condition }: Extract<Test, { kind: 'elements' }>): ElementTest {
  if (as === 'values') return compile<Json>(condition, elementItself);
  const matches = compile(condition, documentField);
  return (element, evaluation) => {
    // MongoDB takes an array in the array for a document with its indexes for names.
    const document = isArray(element) ? Object.fromEntries(element.entries()) : element;
    return isObject(document) && matches(document, evaluation);
  };
}

/**
 * A dotted path, by the rules of MongoDB's matcher: each name leads into documents; where an array is met, it leads into
 * each of the documents in it, and a name that is a number also to the element at that index.
 */
function walker(path: Path, single: ValueTest, leaf: ValueTest): Predicate<JsonObject> {
  const last = path.length - 1;
  const indexes = path.map(indexOf);
  const inherited = path.map(isInherited);

  /** The value of the field that a step names; never what every object inherits, such as `constructor`. */
  function fieldOf(document: JsonObject, step: number): Json | undefined {
    const name = path[step] ?? '';
    return inherited[step] && !Object.hasOwn(document, name) ? undefined : document[name];
  }

  /** A value that the name of this step has led to. */
  function atValue(value: Json | undefined, step: number, evaluation: Evaluation): boolean {
    if (step === last) return leaf(value, evaluation);
    if (isArray(value)) return inArray(value, step + 1, evaluation);
    if (isObject(value)) return atValue(fieldOf(value, step + 1), step + 1, evaluation);
    return single(undefined, evaluation);
  }

  function inArray(array: readonly Json[], step: number, evaluation: Evaluation): boolean {
    if (inDocuments(array, step, evaluation)) return true;
    const element = array[indexes[step] ?? -1];
    if (element === undefined) return false;
    // An element that is named by its index stands for itself: if it is an array, it is not looked into.
    if (step === last) return single(element, evaluation);
    if (isArray(element)) return inArray(element, step + 1, evaluation);
    return isObject(element) && atValue(fieldOf(element, step + 1), step + 1, evaluation);
  }

  function inDocuments(array: readonly Json[], step: number, evaluation: Evaluation): boolean {
    const fields = evaluation.digestOf(array)?.fields;
    if (fields === undefined) {
      for (const element of array) {
        if (isObject(element) && atValue(fieldOf(element, step), step, evaluation)) return true;
      }
      return false;
    }
    const values = fields.valuesOf.get(path[step] ?? '') ?? noValues;
    for (const value of values) if (atValue(value, step, evaluation)) return true;
    return values.length < fields.documents && atValue(undefined, step, evaluation);
  }

  return (document, evaluation) => atValue(fieldOf(document, 0), 0, evaluation);
}

const noValues: readonly Json[] = [];

/** Names such as `constructor`, which every object answers to whether it holds them or not. */
function isInherited(name: string): boolean {
  return name in Object.prototype;
}
