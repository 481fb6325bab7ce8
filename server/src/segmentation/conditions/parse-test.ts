import { isStorableText } from '@kohort/contract';
import { jsonTypes, type Scalar, type Test } from './condition.ts';
import { parseInstantOperand } from './instant.ts';
import { isArray } from './json.ts';
import { foldCase } from './letter-case.ts';
import { maxVersionCharacters } from './limits.ts';
import { readList, readScalar, readScalars, readValue, readValues } from './operands.ts';
import { type Findings, quote } from './parse-errors.ts';
import { versionKey } from './version.ts';

/** Parses an operator that asks something of each value, but for `$elemMatch`; undefined after a refusal. */
export function parseTest(
  name: string,
  operand: unknown,
  siblings: Readonly<Record<string, unknown>>,
  findings: Findings,
  at: string,
): Test | undefined {
  switch (name) {
    case '$eq':
      return equalTest(operand, findings, at);
    case '$gt':
    case '$gte':
    case '$lt':
    case '$lte': {
      const value = readScalar(operand, findings, at);
      return value === undefined ? undefined : { kind: 'compare', operator: comparisons[name], value };
    }
    case '$in':
      return inTest(operand, findings, at);
    case '$ini':
      return inAnyCaseTest(operand, findings, at);
    case '$size':
      return sizeTest(operand, findings, at);
    case '$type':
      return typeTest(operand, findings, at);
    case '$mod':
      return modTest(operand, findings, at);
    case '$regex':
      return patternTest(operand, Object.hasOwn(siblings, '$options'), findings, at);
    case '$before':
    case '$after':
      return instantTest(name === '$before' ? 'before' : 'after', operand, findings, at);
    case '$veq':
    case '$vgt':
    case '$vgte':
    case '$vlt':
    case '$vlte':
      return versionTest(versionComparisons[name], operand, findings, at);
    default:
      return findings.refuse(at, `unknown operator ${quote(name)}`);
  }
}

const comparisons = { $gt: 'gt', $gte: 'gte', $lt: 'lt', $lte: 'lte' } as const;
const versionComparisons = { $veq: 'eq', $vgt: 'gt', $vgte: 'gte', $vlt: 'lt', $vlte: 'lte' } as const;

export function equalTest(operand: unknown, findings: Findings, at: string): Test | undefined {
  const value = readValue(operand, findings, at);
  return value === undefined ? undefined : { kind: 'equal', value };
}

function inTest(operand: unknown, findings: Findings, at: string): Test | undefined {
  const entries = readList(operand, findings, at);
  if (entries === undefined) return undefined;
  const values = readValues(entries, findings, at);
  return values && { kind: 'in', values };
}

function inAnyCaseTest(operand: unknown, findings: Findings, at: string): Test | undefined {
  const entries = readList(operand, findings, at);
  const values = entries && readScalars(entries, findings, at);
  return values && { kind: 'inAnyCase', values: values.map(inAnyCase) };
}

/** An operand as values are compared with it: folded, where it is a text. */
export function inAnyCase(value: Scalar): Scalar {
  return typeof value === 'string' ? foldCase(value) : value;
}

function sizeTest(operand: unknown, findings: Findings, at: string): Test | undefined {
  if (typeof operand !== 'number' || !Number.isSafeInteger(operand) || operand < 0) {
    return findings.refuse(at, 'expected a whole number from 0');
  }
  return { kind: 'size', size: operand === 0 ? 0 : operand };
}

function typeTest(operand: unknown, findings: Findings, at: string): Test | undefined {
  const names = isArray(operand) ? operand : [operand];
  const types = jsonTypes.filter((type) => names.includes(type));
  if (names.length === 0 || !names.every((name) => jsonTypes.some((type) => type === name))) {
    return findings.refuse(at, `expected a type, or a list of them: ${jsonTypes.join(', ')}`);
  }
  return { kind: 'type', types };
}

function modTest(operand: unknown, findings: Findings, at: string): Test | undefined {
  const [divisor, remainder] = isArray(operand) && operand.length === 2 ? operand : [];
  if (!isSafeInteger(divisor) || !isSafeInteger(remainder)) {
    return findings.refuse(at, 'expected [divisor, remainder], two whole numbers');
  }
  if (divisor === 0) return findings.refuse(at, 'the divisor must not be 0');
  return { kind: 'mod', divisor, remainder: remainder === 0 ? 0 : remainder };
}

function isSafeInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function patternTest(operand: unknown, ignoreCase: boolean, findings: Findings, at: string): Test | undefined {
  if (typeof operand !== 'string') return findings.refuse(at, 'expected a pattern');
  if (!isStorableText(operand)) return findings.refuse(at, 'NUL and lone surrogates are not allowed');
  const pattern = findings.pattern(operand, ignoreCase, at);
  return pattern && { kind: 'pattern', pattern };
}

function instantTest(order: 'before' | 'after', operand: unknown, findings: Findings, at: string): Test | undefined {
  const instant = typeof operand === 'string' ? parseInstantOperand(operand) : undefined;
  if (instant === undefined) {
    return findings.refuse(
      at,
      'expected a time with an offset ("2026-11-26T08:00:00Z"), a date ("2026-11-26"), or "now", "now-7d", "now+90m" with a unit of s, m, h, d or w',
    );
  }
  return { kind: 'instant', order, instant };
}

function versionTest(
  operator: 'eq' | 'gt' | 'gte' | 'lt' | 'lte',
  operand: unknown,
  findings: Findings,
  at: string,
): Test | undefined {
  const key = typeof operand === 'string' && operand.length <= maxVersionCharacters ? versionKey(operand) : undefined;
  if (key === undefined) return findings.refuse(at, 'expected a version, e.g. "1.2.3"');
  return { kind: 'version', operator, key };
}
