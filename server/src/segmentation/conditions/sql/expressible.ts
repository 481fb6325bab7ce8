import type { Condition, Test } from '../condition.ts';
import { isPatternExpressible } from './matchers.ts';

/** Whether SQL can express the whole condition. */
export function isExpressible(condition: Condition<number>): boolean {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.of.every(isExpressible);
    case 'not':
      return isExpressible(condition.of);
    case 'segment':
      return true;
    case 'field':
      return isTestExpressible(condition.test);
  }
}

function isTestExpressible(test: Test): boolean {
  switch (test.kind) {
    case 'pattern':
      return isPatternExpressible(test.pattern);
    case 'elements':
      return isExpressible(test.condition);
    default:
      return true;
  }
}

/** Whether a path begins with what jsonb might take for an index: it reads `-1` and `01` as such. */
export function usesIndexes(condition: Condition<never>): boolean {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.of.some(usesIndexes);
    case 'not':
      return usesIndexes(condition.of);
    case 'field':
      return /[0-9]/.test(condition.path[0] ?? '');
    default:
      return false;
  }
}

export function mayEqualArray(test: Test): boolean {
  if (test.kind === 'equal') return Array.isArray(test.value);
  if (test.kind === 'type') return test.types.includes('array');
  return test.kind === 'in' && test.values.some(Array.isArray);
}
