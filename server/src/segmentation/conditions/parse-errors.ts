import {
  maxElementNodes,
  maxErrors,
  maxNodes,
  maxPatternsCharacters,
  maxPatternsSize,
  maxValues,
  minPatternSize,
} from './limits.ts';
import { compilePattern, maxPatternSize, type Pattern } from './regex.ts';

/** What is wrong with a condition, and where: `path` is a JSON pointer to the offending node. */
export interface ConditionError {
  readonly path: string;
  readonly message: string;
}

const tooLargeTogether = 'the patterns of this condition are too large together';

/** The pointer one step on from `at`, by RFC 6901. */
export function pointer(at: string, step: string | number): string {
  return `${at}/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** An unknown name as it may be shown: short. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 40 ? `${name.slice(0, 40)}…` : name);
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
    if (this.errors.length < maxErrors) this.errors.push({ path, message });
    return undefined;
  }

  /** Counts a node; false once there are too many, which is reported once. */
  node(at: string, { inElements }: { inElements: boolean }): boolean {
    this.#nodes += 1;
    if (this.#nodes === maxNodes + 1) this.refuse(at, `a condition has at most ${maxNodes} nodes`);
    if (inElements) this.#elementNodes += 1;
    if (inElements && this.#elementNodes === maxElementNodes + 1) {
      this.refuse(at, `a condition has at most ${maxElementNodes} nodes inside $elemMatch`);
    }
    return this.#nodes <= maxNodes && this.#elementNodes <= maxElementNodes;
  }

  /** Counts a value; false once there are too many, which is reported once. */
  value(at: string): boolean {
    this.#values += 1;
    if (this.#values === maxValues + 1) this.refuse(at, `a condition has at most ${maxValues} values`);
    return this.#values <= maxValues;
  }

  /** Compiles a pattern within the limits; compiling takes time itself, so nothing is compiled beyond them. */
  pattern(source: string, ignoreCase: boolean, at: string): Pattern | undefined {
    this.#patternsLength += source.length;
    if (this.#patternsLength > maxPatternsCharacters || this.#patternsSize > maxPatternsSize) {
      return this.refuse(at, tooLargeTogether);
    }
    const pattern = compilePattern(source, ignoreCase);
    // A refused pattern may have cost as much as any to compile.
    this.#patternsSize += typeof pattern === 'string' ? maxPatternSize : weightOf(pattern);
    if (typeof pattern === 'string') return this.refuse(at, pattern);
    return this.#patternsSize > maxPatternsSize ? this.refuse(at, tooLargeTogether) : pattern;
  }
}

function weightOf({ literal, size }: Pattern): number {
  return literal === undefined ? Math.max(size, minPatternSize) : 0;
}
