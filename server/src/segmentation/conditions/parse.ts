import type { Condition, Path } from './condition.ts';
import { readPath } from './operands.ts';
import { type ConditionError, Findings } from './parse-errors.ts';
import { parseQuery } from './parse-query.ts';

export type Parsed<Ref> =
  | { readonly ok: true; readonly condition: Condition<Ref> }
  | { readonly ok: false; readonly errors: readonly ConditionError[] };

/**
 * Parses a condition as it stands on the wire, where segments are named by slug.
 * `at` is the pointer to the condition within the request, and begins the path of every error.
 */
export function parseCondition(input: unknown, at = ''): Parsed<string> {
  return parse(input, at, (operand) => (typeof operand === 'string' && slugForm.test(operand) ? operand : undefined));
}

/** Parses a condition as it is stored, where segments are named by id. */
export function parseStoredCondition(input: unknown, at = ''): Parsed<number> {
  return parse(input, at, (operand) =>
    typeof operand === 'number' && Number.isSafeInteger(operand) && operand > 0 ? operand : undefined,
  );
}

/** The names of a dotted path, e.g. of `bucket_by`; undefined for a text that no condition could have for a path. */
export function attributePath(text: string): Path | undefined {
  return readPath(text, new Findings(), '');
}

const slugForm = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/;

function parse<Ref>(input: unknown, at: string, toRef: (operand: unknown) => Ref | undefined): Parsed<Ref> {
  const findings = new Findings();
  const condition = parseQuery(input, { findings, depth: 0, toRef }, at);
  return findings.errors.length === 0 ? { ok: true, condition } : { ok: false, errors: findings.errors };
}
