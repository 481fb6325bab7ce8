import { type Condition, indexOf, isAboutWholeArray, type Path, type Test } from './condition.ts';
import { isArray, isObject, type Json, type JsonObject } from './json.ts';
import { compileElementsTest, compileTest, type ElementTest, type ValueTest, withElements } from './matchers.ts';

/** Tells whether the user in question is in a segment. */
export type InSegment = (segmentId: number) => boolean;

/** Tells whether a user with these attributes, as `JSON.parse` makes them, meets a condition. */
export type Evaluate = (attributes: JsonObject, inSegment: InSegment) => boolean;

type Predicate<Subject> = (subject: Subject, inSegment: InSegment) => boolean;
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
      return (subject, inSegment) => !inner(subject, inSegment);
    }
    case 'segment': {
      const { segment } = condition;
      return (_, inSegment) => inSegment(segment);
    }
    case 'field':
      return compileField(condition);
  }
}

function every<Subject>(parts: readonly Predicate<Subject>[]): Predicate<Subject> {
  const [first, second] = parts;
  if (first === undefined) return () => true;
  if (parts.length === 2 && second !== undefined) {
    return (subject, inSegment) => first(subject, inSegment) && second(subject, inSegment);
  }
  return (subject, inSegment) => {
    for (const part of parts) if (!part(subject, inSegment)) return false;
    return true;
  };
}

function some<Subject>(parts: readonly Predicate<Subject>[]): Predicate<Subject> {
  return (subject, inSegment) => {
    for (const part of parts) if (part(subject, inSegment)) return true;
    return false;
  };
}

/** A field of a document. */
function documentField({ path, test }: Field): Predicate<JsonObject> {
  const single = compileAnyTest(test);
  const leaf = isAboutWholeArray(test) ? single : withElements(single);
  const [name = ''] = path;
  if (path.length > 1) return walker(path, single, leaf);
  if (isInherited(name)) return (document) => leaf(Object.hasOwn(document, name) ? document[name] : undefined);
  return (document) => leaf(document[name]);
}

/** The element itself, inside `$elemMatch`: an array in an array is not looked into. */
function elementItself({ test }: Field): Predicate<Json> {
  return compileAnyTest(test);
}

function compileAnyTest(test: Test): ValueTest {
  return test.kind === 'elements' ? compileElementsTest(elementTest(test)) : compileTest(test);
}

function elementTest({ as, condition }: Extract<Test, { kind: 'elements' }>): ElementTest {
  if (as === 'values') {
    const matches = compile<Json>(condition, elementItself);
    return (element) => matches(element, inNone);
  }
  const matches = compile(condition, documentField);
  return (element) => {
    // MongoDB takes an array in the array for a document with its indexes for names.
    const document = isArray(element) ? Object.fromEntries(element.entries()) : element;
    return isObject(document) && matches(document, inNone);
  };
}

/** Parsing sees to it that no segment is named inside `$elemMatch`. */
const inNone: InSegment = () => false;

/**
 * A dotted path, by the rules of MongoDB's matcher: each name leads into documents; where an array is met, it leads into
 * each of the documents in it, and a name that is a number also to the element at that index.
 */
function walker(path: Path, single: ValueTest, leaf: ValueTest): Predicate<JsonObject> {
  const last = path.length - 1;
  const indexes = path.map(indexOf);
  const inherited = path.map(isInherited);
  const matchesMissing = single(undefined);

  function inDocument(document: JsonObject, step: number): boolean {
    const name = path[step] ?? '';
    const value = inherited[step] && !Object.hasOwn(document, name) ? undefined : document[name];
    if (step === last) return leaf(value);
    if (isArray(value)) return inArray(value, step + 1);
    return isObject(value) ? inDocument(value, step + 1) : matchesMissing;
  }

  function inArray(array: readonly Json[], step: number): boolean {
    for (const element of array) if (isObject(element) && inDocument(element, step)) return true;
    const element = array[indexes[step] ?? -1];
    if (element === undefined) return false;
    // An element that is named by its index stands for itself: if it is an array, it is not looked into.
    if (step === last) return single(element);
    if (isArray(element)) return inArray(element, step + 1);
    return isObject(element) && inDocument(element, step + 1);
  }

  return (document) => inDocument(document, 0);
}

/** Names such as `constructor`, which every object answers to whether it holds them or not. */
function isInherited(name: string): boolean {
  return name in Object.prototype;
}
