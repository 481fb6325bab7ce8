import { isObject } from '@kohort/contract';
import type { JsonType } from './condition.ts';
import { instantOf } from './instant.ts';
import { canonicalText, compareText, type Json } from './json.ts';
import { foldCase } from './letter-case.ts';
import { typesOf } from './types.ts';
import { versionKey } from './version.ts';

/** The least and the greatest of some values. */
export interface Range<T> {
  readonly least: T;
  readonly greatest: T;
}

/** The fields of the documents in an array. */
export interface DocumentFields {
  readonly documents: number;
  readonly valuesOf: ReadonlyMap<string, readonly Json[]>;
}

/**
 * What tests ask of the elements of one array, each part computed when it is first asked for. However many tests a condition
 * puts to an array, its elements are visited a few times at most: work grows with tests plus elements, not with their product.
 */
export class ArrayDigest {
  readonly #array: readonly Json[];
  #scalars: ReadonlySet<Json> | undefined;
  #nested: ReadonlySet<string> | undefined;
  #texts: readonly string[] | undefined;
  #numbers: readonly number[] | undefined;
  #numberRange: Range<number> | null | undefined;
  #textRange: Range<string> | null | undefined;
  #versionRange: Range<string> | null | undefined;
  #versions: ReadonlySet<string> | undefined;
  #foldedTexts: ReadonlySet<string> | undefined;
  #types: ReadonlySet<JsonType> | undefined;
  #instantRange: Range<number> | null | undefined;
  #fields: DocumentFields | undefined;

  constructor(array: readonly Json[]) {
    this.#array = array;
  }

  /** Elements that are neither arrays nor documents. */
  get scalars(): ReadonlySet<Json> {
    this.#scalars ??= new Set(this.#array.filter((element) => typeof element !== 'object' || element === null));
    return this.#scalars;
  }

  /** Elements that are arrays or documents, as canonical texts. */
  get nested(): ReadonlySet<string> {
    this.#nested ??= new Set(
      this.#array.filter((element) => typeof element === 'object' && element !== null).map(canonicalText),
    );
    return this.#nested;
  }

  /** Each text once. */
  get texts(): readonly string[] {
    this.#texts ??= [...this.scalars].filter((element) => typeof element === 'string');
    return this.#texts;
  }

  /** Each text once, without regard to case. */
  get foldedTexts(): ReadonlySet<string> {
    this.#foldedTexts ??= new Set(this.texts.map(foldCase));
    return this.#foldedTexts;
  }

  /** Each number once. */
  get numbers(): readonly number[] {
    this.#numbers ??= [...this.scalars].filter((element) => typeof element === 'number');
    return this.#numbers;
  }

  get types(): ReadonlySet<JsonType> {
    this.#types ??= new Set(this.#array.flatMap(typesOf));
    return this.#types;
  }

  /** Null where there is no number. */
  get numberRange(): Range<number> | null {
    if (this.#numberRange === undefined) this.#numberRange = rangeOf(this.numbers, byNumber);
    return this.#numberRange;
  }

  get instantRange(): Range<number> | null {
    if (this.#instantRange === undefined) {
      const instants = [...this.scalars].map(instantOf).filter((instant) => instant !== undefined);
      this.#instantRange = rangeOf(instants, byNumber);
    }
    return this.#instantRange;
  }

  get textRange(): Range<string> | null {
    if (this.#textRange === undefined) this.#textRange = rangeOf(this.texts, compareText);
    return this.#textRange;
  }

  /** The keys of the texts that are versions. */
  get versions(): ReadonlySet<string> {
    this.#versions ??= new Set(this.texts.map(versionKey).filter((key) => key !== undefined));
    return this.#versions;
  }

  get versionRange(): Range<string> | null {
    if (this.#versionRange === undefined) {
      this.#versionRange = rangeOf([...this.versions], (a, b) => (a < b ? -1 : 1));
    }
    return this.#versionRange;
  }

  get fields(): DocumentFields {
    this.#fields ??= fieldsOf(this.#array);
    return this.#fields;
  }
}

const byNumber = (a: number, b: number) => a - b;

function rangeOf<T>(values: readonly T[], compare: (a: T, b: T) => number): Range<T> | null {
  let range: { least: T; greatest: T } | null = null;
  for (const value of values) {
    if (range === null) range = { least: value, greatest: value };
    else if (compare(value, range.least) < 0) range.least = value;
    else if (compare(value, range.greatest) > 0) range.greatest = value;
  }
  return range;
}

function fieldsOf(array: readonly Json[]): DocumentFields {
  const valuesOf = new Map<string, Json[]>();
  let documents = 0;
  for (const element of array) {
    if (!isObject(element)) continue;
    documents += 1;
    for (const [name, value] of Object.entries(element)) {
      const values = valuesOf.get(name);
      if (values === undefined) valuesOf.set(name, [value]);
      else values.push(value);
    }
  }
  return { documents, valuesOf };
}
