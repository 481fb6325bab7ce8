import {
  MAX_ELEMENT_NODES,
  MAX_ERRORS,
  MAX_NODES,
  MAX_PATTERNS_LENGTH,
  MAX_PATTERNS_SIZE,
  MAX_VALUES,
  MIN_PATTERN_WEIGHT,
} from './limits.ts';
import { compilePattern, MAX_PATTERN_SIZE, type Pattern } from './regex.ts';

/** What is wrong with a condition, and where: `path` is a JSON pointer to the offending node. */
export interface ConditionError {
  readonly path: string;
  readonly message: string;
}

const TOO_LARGE_TOGETHER = 'the patterns of this condition are too large together';

/** The pointer one step on from `at`, by RFC 6901. */
export function pointer(at: string, step: string | number): string {
  return `${at}/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** What a parser finds out on its way: errors, and how much of each limit is used. */
export class Findings {
  readonly errors: ConditionError[] = [];
  #nodes = 0;
  #elementNodes = 0;
  #values = 0;
  #patternsLength = 0;
  #patternsSize = 0;

  refuse(path: string, message: string): undefined {
    if (this.errors.length < MAX_ERRORS) this.errors.push({ path, message });
    return undefined;
  }

  /** Counts a node; false once there are too many, which is reported once. */
  node(at: string, { inElements }: { inElements: boolean }): boolean {
    this.#nodes += 1;
    if (this.#nodes === MAX_NODES + 1) this.refuse(at, `a condition has at most ${MAX_NODES} nodes`);
    if (inElements) this.#elementNodes += 1;
    if (inElements && this.#elementNodes === MAX_ELEMENT_NODES + 1) {
      this.refuse(at, `a condition has at most ${MAX_ELEMENT_NODES} nodes inside $elemMatch`);
    }
    return this.#nodes <= MAX_NODES && this.#elementNodes <= MAX_ELEMENT_NODES;
  }

  /** Counts a value; false once there are too many, which is reported once. */
  value(at: string): boolean {
    this.#values += 1;
    if (this.#values === MAX_VALUES + 1) this.refuse(at, `a condition has at most ${MAX_VALUES} values`);
    return this.#values <= MAX_VALUES;
  }

  /** Compiles a pattern within the limits; compiling takes time itself, so nothing is compiled beyond them. */
  pattern(source: string, ignoreCase: boolean, at: string): Pattern | undefined {
    this.#patternsLength += source.length;
    if (this.#patternsLength > MAX_PATTERNS_LENGTH || this.#patternsSize > MAX_PATTERNS_SIZE) {
      return this.refuse(at, TOO_LARGE_TOGETHER);
    }
    const pattern = compilePattern(source, ignoreCase);
    // A refused pattern may have cost as much as any to compile.
    this.#patternsSize += typeof pattern === 'string' ? MAX_PATTERN_SIZE : weightOf(pattern);
    if (typeof pattern === 'string') return this.refuse(at, pattern);
    return this.#patternsSize > MAX_PATTERNS_SIZE ? this.refuse(at, TOO_LARGE_TOGETHER) : pattern;
  }
}

function weightOf({ literal, size }: Pattern): number {
  return literal === undefined ? Math.max(size, MIN_PATTERN_WEIGHT) : 0;
}
