import type { Key } from '../../i18n/language.ts';
import type { Json, TestNode } from './tree.ts';

/** The choices of a row: an operator of the condition, or one of three common forms of a pattern. */
export const operators = [
  ['$eq', 'op.eq'],
  ['$ne', 'op.ne'],
  ['$in', 'op.in'],
  ['$nin', 'op.nin'],
  ['$gt', 'op.gt'],
  ['$gte', 'op.gte'],
  ['$lt', 'op.lt'],
  ['$lte', 'op.lte'],
  ['contains', 'op.contains'],
  ['starts', 'op.starts'],
  ['ends', 'op.ends'],
  ['$regex', 'op.regex'],
  ['present', 'op.present'],
  ['absent', 'op.absent'],
  ['$before', 'op.before'],
  ['$after', 'op.after'],
  ['$all', 'op.all'],
  ['$ini', 'op.ini'],
  ['$nini', 'op.nini'],
  ['$alli', 'op.alli'],
  ['$size', 'op.size'],
  ['$vgte', 'op.vgte'],
  ['$vgt', 'op.vgt'],
  ['$vlte', 'op.vlte'],
  ['$vlt', 'op.vlt'],
  ['$veq', 'op.veq'],
  ['$vne', 'op.vne'],
  ['$type', 'op.type'],
  ['$mod', 'op.mod'],
] as const satisfies readonly (readonly [string, Key])[];

export type Operator = (typeof operators)[number][0];

export const typeNames = ['string', 'number', 'int', 'double', 'bool', 'object', 'array', 'null'] as const;

const special = /[\\^$.*+?()[\]{}|]/g;
const escaped = (text: string): string => text.replaceAll(special, '\\$&');

/** The text of a pattern without special characters; undefined for other patterns. */
function literalOf(pattern: string): string | undefined {
  const text = pattern.replaceAll(/\\([\\^$.*+?()[\]{}|])/g, '$1');
  return escaped(text) === pattern ? text : undefined;
}

export interface Shown {
  readonly operator: Operator;
  readonly value: Json;
}

/** The row of a test: a pattern of plain text is shown as "contains". */
export function shownOf({ operator, value }: Pick<TestNode, 'operator' | 'value'>): Shown {
  if (operator === '$exists') return { operator: value === true ? 'present' : 'absent', value: null };
  if (operator === '$regex' && typeof value === 'string' && value !== '') {
    const starts = value.startsWith('^') ? literalOf(value.slice(1)) : undefined;
    if (starts) return { operator: 'starts', value: starts };
    const ends = value.endsWith('$') && !value.endsWith('\\$') ? literalOf(value.slice(0, -1)) : undefined;
    if (ends) return { operator: 'ends', value: ends };
    const contains = literalOf(value);
    if (contains) return { operator: 'contains', value: contains };
  }
  return { operator: operators.find(([id]) => id === operator)?.[0] ?? '$eq', value };
}

/** The test of a row. */
export function testOf({ operator, value }: Shown): Pick<TestNode, 'operator' | 'value'> {
  const text = typeof value === 'string' ? value : '';
  switch (operator) {
    case 'present':
      return { operator: '$exists', value: true };
    case 'absent':
      return { operator: '$exists', value: false };
    case 'contains':
      return { operator: '$regex', value: escaped(text) };
    case 'starts':
      return { operator: '$regex', value: `^${escaped(text)}` };
    case 'ends':
      return { operator: '$regex', value: `${escaped(text)}$` };
    default:
      return { operator, value };
  }
}

const lists = new Set<Operator>(['$in', '$nin', '$all', '$ini', '$nini', '$alli']);
const texts = new Set<Operator>([
  'contains',
  'starts',
  'ends',
  '$regex',
  '$vgt',
  '$vgte',
  '$vlt',
  '$vlte',
  '$veq',
  '$vne',
  '$before',
  '$after',
]);

export type Operand = 'none' | 'value' | 'text' | 'list' | 'number' | 'type' | 'mod';

export function operandOf(operator: Operator): Operand {
  if (operator === 'present' || operator === 'absent') return 'none';
  if (operator === '$size') return 'number';
  if (operator === '$type') return 'type';
  if (operator === '$mod') return 'mod';
  if (lists.has(operator)) return 'list';
  return texts.has(operator) ? 'text' : 'value';
}

/** The value to keep when the operator changes. */
export function carriedValue(value: Json, to: Operator): Json {
  const first = Array.isArray(value) ? ((value as readonly Json[])[0] ?? '') : value;
  switch (operandOf(to)) {
    case 'none':
      return null;
    case 'list':
      return Array.isArray(value) ? value : value === '' || value === null ? [] : [value];
    case 'number':
      return typeof first === 'number' ? first : 0;
    case 'type':
      return 'string';
    case 'mod':
      return [2, 0];
    case 'text':
      return first === null ? '' : String(first);
    case 'value':
      return first === null && value !== null ? '' : first;
  }
}

/** Converts typed text to a value of the type, such as "30" or 30. */
export function valueOfText(text: string, type: ValueType): Json {
  if (type === 'null') return null;
  if (type === 'boolean') return text === 'true';
  if (type === 'number') {
    const number = Number(text.trim().replace(',', '.'));
    return text.trim() !== '' && Number.isFinite(number) ? number : text;
  }
  return text;
}

export type ValueType = 'string' | 'number' | 'boolean' | 'null';

export function typeOfValue(value: Json): ValueType {
  if (value === null) return 'null';
  if (typeof value === 'number') return 'number';
  return typeof value === 'boolean' ? 'boolean' : 'string';
}

/** The most common type of an attribute, as the type of a single value. */
export function usualType(types: Readonly<Record<string, number>> | undefined): ValueType {
  const [name] = Object.entries(types ?? {}).sort(([, one], [, other]) => other - one)[0] ?? [];
  if (name === 'number' || name === 'int' || name === 'double') return 'number';
  if (name === 'boolean' || name === 'bool') return 'boolean';
  return 'string';
}
