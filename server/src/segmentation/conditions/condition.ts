import type { Instant } from './instant.ts';
import type { Json } from './json.ts';
import type { Pattern } from './regex.ts';

/**
 * A condition after parsing: the few primitives that MongoDB's operators come down to, as in MongoDB's own matcher.
 * `$ne`, `$nin`, `$nor`, `$vne` and `$exists: false` are a `not` around the whole positive match, never a test of their
 * own. An empty `and` is true, an empty `or` is false. `Ref` names a segment: by slug on the wire, by id where stored,
 * and `never` inside `$elemMatch`, which speaks of elements and not of users.
 */
export type Condition<Ref> =
  | { readonly kind: 'and'; readonly of: readonly Condition<Ref>[] }
  | { readonly kind: 'or'; readonly of: readonly Condition<Ref>[] }
  | { readonly kind: 'not'; readonly of: Condition<Ref> }
  | { readonly kind: 'segment'; readonly segment: Ref; readonly at: string }
  | { readonly kind: 'field'; readonly path: Path; readonly test: Test };

/** The names of a dotted path. The empty path is the element itself, inside the operator form of `$elemMatch`. */
export type Path = readonly string[];

export type Scalar = null | boolean | number | string;
export type Comparison = 'gt' | 'gte' | 'lt' | 'lte';

/** `int` and `double` are numbers without and with a fraction; `number` is either. */
export const jsonTypes = ['string', 'number', 'int', 'double', 'bool', 'object', 'array', 'null'] as const;
export type JsonType = (typeof jsonTypes)[number];

/** What is asked of each value that a path leads to; one yes is enough. */
export type Test =
  | { readonly kind: 'equal'; readonly value: Json }
  | { readonly kind: 'in'; readonly values: readonly Json[] }
  /** Texts are folded (letter-case.ts), and compared with folded ones. */
  | { readonly kind: 'inAnyCase'; readonly values: readonly Scalar[] }
  | { readonly kind: 'compare'; readonly operator: Comparison; readonly value: Scalar }
  | { readonly kind: 'exists' }
  | { readonly kind: 'type'; readonly types: readonly JsonType[] }
  | { readonly kind: 'mod'; readonly divisor: number; readonly remainder: number }
  | { readonly kind: 'instant'; readonly order: 'before' | 'after'; readonly instant: Instant }
  | { readonly kind: 'size'; readonly size: number }
  | { readonly kind: 'pattern'; readonly pattern: Pattern }
  | { readonly kind: 'version'; readonly operator: Comparison | 'eq'; readonly key: string }
  | { readonly kind: 'elements'; readonly as: 'documents' | 'values'; readonly condition: Condition<never> };

/** Tests of an array as a whole; every other test is also put to each of its elements. */
export function isAboutWholeArray(test: Test): boolean {
  return test.kind === 'size' || test.kind === 'elements';
}

/**
 * The index that a name in a path may be, or -1. Only the canonical spelling counts, as in MongoDB: `a.01` is never the
 * second element.
 */
export function indexOf(name: string): number {
  return /^(0|[1-9][0-9]{0,8})$/.test(name) ? Number(name) : -1;
}

/** Whether a test says yes to a missing value: only those that null passes. */
export function matchesMissing(test: Test): boolean {
  switch (test.kind) {
    case 'equal':
      return test.value === null;
    case 'in':
    case 'inAnyCase':
      return test.values.includes(null);
    case 'compare':
      return test.value === null && (test.operator === 'gte' || test.operator === 'lte');
    default:
      return false;
  }
}
