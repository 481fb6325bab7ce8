import type { JsonType } from './condition.ts';
import { isArray, type Json } from './json.ts';

/** The types that a value has: of a number two, since a number without a fraction is an `int` and any other a `double`. */
export function typesOf(value: Json): readonly JsonType[] {
  switch (typeof value) {
    case 'string':
      return text;
    case 'boolean':
      return boolean;
    case 'number':
      return Number.isInteger(value) ? int : double;
    default:
      return value === null ? nothing : isArray(value) ? array : object;
  }
}

const text = ['string'] as const;
const boolean = ['bool'] as const;
const int = ['number', 'int'] as const;
const double = ['number', 'double'] as const;
const nothing = ['null'] as const;
const array = ['array'] as const;
const object = ['object'] as const;
