import { canonicalText, compareText, isObject, type Json } from './json.ts';
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
  #numberRange: Range<number> | null | undefined;
  #textRange: Range<string> | null | undefined;
  #versionRange: Range<string> | null | undefined;
  #versions: ReadonlySet<string> | undefined;
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

  /** Null where there is no number. */
  get numberRange(): Range<number> | null {
    if (this.#numberRange === undefined) {
      const numbers = [...this.scalars].filter((element) => typeof element === 'number');
      this.#numberRange = rangeOf(numbers, (a, b) => a - b);
    }
    return this.#numberRange;
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
