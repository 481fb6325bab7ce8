import { isObject } from '@kohort/contract';
import { indexOf } from '../../segmentation/conditions/condition.ts';
import type { Json } from '../../segmentation/conditions/json.ts';

/** A place in a condition that expects users to have an attribute, with a value of some type. */
export interface AttributeUse {
  /** JSON pointer into the request. */
  readonly path: string;
  readonly name: string;
  /** Names of PostgreSQL's `jsonb_typeof`; empty if any type will do. */
  readonly types: readonly string[];
}

const scalarTypes = ['string', 'number', 'boolean'];
const typesOfOperator: Readonly<Record<string, readonly string[]>> = {
  $regex: ['string'],
  $ini: ['string'],
  $nini: ['string'],
  $alli: ['string'],
  $vgt: ['string'],
  $vgte: ['string'],
  $vlt: ['string'],
  $vlte: ['string'],
  $veq: ['string'],
  $vne: ['string'],
  $mod: ['number'],
  $size: ['array'],
  $elemMatch: ['array'],
  $before: ['string', 'number'],
  $after: ['string', 'number'],
};
const comparisons = new Set(['$eq', '$ne', '$gt', '$gte', '$lt', '$lte', '$in', '$nin']);

/** The types of the operands; undefined if they may also match a missing attribute, or a whole array or object. */
function typesOf(operands: readonly unknown[]): string[] | undefined {
  const types = operands.map((operand) => typeof operand);
  return types.every((type) => scalarTypes.includes(type)) ? [...new Set(types)] : undefined;
}

function* usesOfField(name: string, operand: unknown, path: string): Generator<AttributeUse> {
  if (!isObject(operand) || !Object.keys(operand).some((key) => key.startsWith('$'))) {
    const types = typesOf([operand]);
    if (types) yield { path, name, types };
    return;
  }
  for (const [operator, value] of Object.entries(operand)) {
    const at = `${path}/${operator}`;
    if (operator === '$not') yield* usesOfField(name, value, at);
    const types = comparisons.has(operator)
      ? typesOf(Array.isArray(value) ? value : [value])
      : operator === '$exists' && value === true
        ? []
        : typesOfOperator[operator];
    if (types) yield { path: at, name, types };
  }
}

const escaped = (key: string) => key.replaceAll('~', '~0').replaceAll('/', '~1');

/** All such places of a valid condition, except paths that may contain an array index. */
export function* attributeUses(condition: Readonly<Record<string, unknown>>, path: string): Generator<AttributeUse> {
  for (const [key, value] of Object.entries(condition)) {
    const at = `${path}/${escaped(key)}`;
    if (key === '$and' || key === '$or' || key === '$nor') {
      for (const [i, part] of (value as Json[]).entries()) {
        if (isObject(part)) yield* attributeUses(part, `${at}/${i}`);
      }
    } else if (!key.startsWith('$') && key.split('.').every((name) => indexOf(name) === -1)) {
      yield* usesOfField(key, value, at);
    }
  }
}
