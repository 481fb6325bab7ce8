import { RE2JS } from 're2js';

/**
 * Patterns in linear time, whatever they and the text are: RE2's language, without backreferences and look-around. A
 * match may stand anywhere in the text, as in MongoDB.
 */
export interface Pattern {
  readonly source: string;
  readonly ignoreCase: boolean;
  /** Set when the pattern is nothing but text, perhaps anchored: then no engine is needed, and SQL can say it too. */
  readonly literal: Literal | undefined;
  /** The size of the compiled program; none for a literal. */
  readonly size: number;
  readonly matches: (text: string) => boolean;
}

export interface Literal {
  readonly text: string;
  readonly anchor: 'none' | 'start' | 'end' | 'both';
}

export const maxPatternCharacters = 1_000;

/** The time of a match grows with text times program, so the program is bounded; a plain text of full length fits. */
export const maxPatternSize = 1_100;

/** What one match may cost: the length of the text times the size of the pattern. A longer text does not match. */
export const maxMatchSteps = 1_000_000;

/** Compiles a pattern; a string says why it is refused. */
export function compilePattern(source: string, ignoreCase: boolean): Pattern | string {
  if (source.length > maxPatternCharacters) return `a pattern has at most ${maxPatternCharacters} characters`;
  const literal = ignoreCase ? undefined : literalOf(source);
  if (literal !== undefined) return { source, ignoreCase, literal, size: 0, matches: literalMatcher(literal) };
  try {
    const compiled = RE2JS.compile(source, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
    const size = compiled.programSize();
    if (size > maxPatternSize) return 'the pattern is too large once its repetitions are written out';
    return { source, ignoreCase, literal, size, matches: (text) => compiled.test(text) };
  } catch (error) {
    // RE2 refuses by throwing; its reasons ("invalid escape sequence: `\1`") are fit for the user.
    const reason = error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : 'invalid';
    return `not a pattern of RE2: ${reason}`;
  }
}

/** Characters that mean themselves to RE2 outside of brackets, between optional anchors at the very ends. */
const literalForm = /^(\^?)([^\\^$.*+?()[\]{}|]*)(\$?)$/;

function literalOf(source: string): Literal | undefined {
  const match = literalForm.exec(source);
  if (match === null) return undefined;
  const [, start = '', text = '', end = ''] = match;
  const anchor = start === '' ? (end === '' ? 'none' : 'end') : end === '' ? 'start' : 'both';
  return { text, anchor };
}

function literalMatcher({ text, anchor }: Literal): (candidate: string) => boolean {
  switch (anchor) {
    case 'none':
      return (candidate) => candidate.includes(text);
    case 'start':
      return (candidate) => candidate.startsWith(text);
    case 'end':
      return (candidate) => candidate.endsWith(text);
    case 'both':
      return (candidate) => candidate === text;
  }
}
