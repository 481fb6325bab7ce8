import type { Condition, Path, Scalar, Test } from '../condition.ts';

/** Lists of more values are no equalities for an index, which would be searched for each. */
const maxEqualities = 20;

/** The values of an equality, or of a short list of them, of an attribute by its name; undefined for any other test. */
export function equalities(path: Path, test: Test): readonly Scalar[] | undefined {
  if (path.length !== 1) return undefined;
  const values = test.kind === 'equal' ? [test.value] : test.kind === 'in' ? test.values : [];
  if (values.length === 0 || values.length > maxEqualities) return undefined;
  const scalars = values.filter((value) => typeof value !== 'object');
  return scalars.length === values.length ? scalars : undefined;
}

/** Whether an index on attributes, should there be one, could find all users who meet a condition. */
export function mayBeFoundByIndex(condition: Condition<number>): boolean {
  switch (condition.kind) {
    case 'and':
      return condition.of.some(mayBeFoundByIndex);
    case 'or':
      return condition.of.length > 0 && condition.of.every(mayBeFoundByIndex);
    case 'field':
      return equalities(condition.path, condition.test) !== undefined;
    default:
      return false;
  }
}
