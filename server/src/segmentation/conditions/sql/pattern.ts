import { caseVariantsOf, foldCase } from '../letter-case.ts';
import type { Pattern } from '../regex.ts';

/** Of patterns up to this size no attribute is too long, so the limit of the evaluator has no say. */
const maxSize = 60;
/** What PostgreSQL takes in `{n,m}`. */
const maxRepetitions = 255;

/**
 * A pattern as PostgreSQL reads it, or undefined unless it is of the part of the language that both engines read alike: text,
 * escapes, classes, groups, alternatives, repetitions and anchors, without regard to case for ASCII. Whether there is a match
 * does not depend on which match an engine prefers, so lazy repetitions are as good as others.
 */
export function toPostgres({ source, ignoreCase, size, literal }: Pattern): string | undefined {
  if (literal !== undefined || size > maxSize) return undefined;
  try {
    return new Translation([...source], ignoreCase).whole();
  } catch (error) {
    if (error instanceof NotAlike) return undefined;
    throw error;
  }
}

class NotAlike extends Error {}

/** A piece of a pattern: its text, and whether a repetition of it could be read differently. */
interface Piece {
  readonly text: string;
  readonly isRepeatable: boolean;
}

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', f: '\f' };
const classes: Readonly<Record<string, string>> = { d: '0-9', s: '\\t\\n\\f\\r ' };
const words = '0-9A-Za-z_';

class Translation {
  readonly #source: readonly string[];
  readonly #ignoreCase: boolean;
  #at = 0;

  constructor(source: readonly string[], ignoreCase: boolean) {
    this.#source = source;
    this.#ignoreCase = ignoreCase;
  }

  whole(): string {
    const text = this.#alternatives(0).text;
    if (this.#at < this.#source.length) throw new NotAlike();
    return text;
  }

  #peek(): string | undefined {
    return this.#source[this.#at];
  }

  #next(): string {
    const character = this.#source[this.#at];
    if (character === undefined) throw new NotAlike();
    this.#at += 1;
    return character;
  }

  #skip(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at += 1;
    return true;
  }

  #alternatives(depth: number): Piece {
    if (depth > 20) throw new NotAlike();
    const branches = [this.#branch(depth)];
    while (this.#skip('|')) branches.push(this.#branch(depth));
    return {
      text: branches.map(({ text }) => text).join('|'),
      isRepeatable: branches.every(({ isRepeatable }) => isRepeatable),
    };
  }

  /** What may match nothing is not repeated: there the engines have their own ideas. */
  #branch(depth: number): Piece {
    let text = '';
    let isRepeatable = false;
    while (this.#peek() !== undefined && this.#peek() !== '|' && this.#peek() !== ')') {
      const piece = this.#piece(depth);
      text += piece.text;
      isRepeatable ||= piece.isRepeatable;
    }
    if (text === '') throw new NotAlike();
    return { text, isRepeatable };
  }

  #piece(depth: number): Piece {
    const atom = this.#atom(depth);
    const repetition = this.#repetition();
    if (repetition === undefined) return atom;
    if (!atom.isRepeatable) throw new NotAlike();
    this.#skip('?');
    if ('*+?{'.includes(this.#peek() ?? ' ')) throw new NotAlike();
    return { text: atom.text + repetition.text, isRepeatable: repetition.min > 0 };
  }

  #repetition(): { text: string; min: number } | undefined {
    const character = this.#peek();
    if (character === '*' || character === '?' || character === '+') {
      this.#at += 1;
      return { text: character, min: character === '+' ? 1 : 0 };
    }
    if (character !== '{') return undefined;
    const end = this.#source.indexOf('}', this.#at);
    const text = this.#source.slice(this.#at, end + 1).join('');
    const match = /^\{([0-9]{1,3})(?:,([0-9]{0,3}))?\}$/.exec(text);
    if (end === -1 || match === null) throw new NotAlike();
    const [min, max] = [Number(match[1]), Number(match[2] || match[1])];
    if (min > maxRepetitions || max > maxRepetitions) throw new NotAlike();
    this.#at = end + 1;
    return { text, min };
  }

  #atom(depth: number): Piece {
    const character = this.#next();
    switch (character) {
      case '^':
      case '$':
        return { text: character, isRepeatable: false };
      case '.':
        return { text: '[^\\n]', isRepeatable: true };
      case '(':
        return this.#group(depth);
      case '[':
        return { text: this.#bracket(), isRepeatable: true };
      case '\\':
        return { text: this.#escape(), isRepeatable: true };
      case '*':
      case '+':
      case '?':
      case '{':
        throw new NotAlike();
      default:
        return { text: this.#character(character), isRepeatable: true };
    }
  }

  #group(depth: number): Piece {
    if (this.#skip('?') && !this.#skip(':')) throw new NotAlike();
    const { text, isRepeatable } = this.#alternatives(depth + 1);
    if (!this.#skip(')')) throw new NotAlike();
    return { text: `(?:${text})`, isRepeatable };
  }

  #escape(): string {
    const character = this.#next();
    const inClass = classes[character];
    if (inClass !== undefined) return `[${inClass}]`;
    const notInClass = classes[character.toLowerCase()];
    if (notInClass !== undefined) return `[^${notInClass}]`;
    if (character === 'w' && !this.#ignoreCase) return `[${words}]`;
    if (character === 'W' && !this.#ignoreCase) return `[^${words}]`;
    return this.#character(this.#escaped(character));
  }

  /** What a character after a backslash stands for, where that is one character. */
  #escaped(character: string): string {
    const found = escapes[character] ?? (/[!-/:-@[-`{-~]/.test(character) ? character : undefined);
    if (found === undefined) throw new NotAlike();
    return found;
  }

  #character(character: string): string {
    const variants = this.#variantsOf(character);
    return variants.length === 0 ? quoted(character) : `[${[character, ...variants].map(quoted).join('')}]`;
  }

  /** The other characters that stand for the same without regard to case. */
  #variantsOf(character: string): readonly string[] {
    if (!this.#ignoreCase) return [];
    const folded = foldCase(character);
    const variants = caseVariantsOf(folded);
    if (character > '\x7f' && (folded !== character || variants.length > 0)) throw new NotAlike();
    return [folded, ...variants].filter((variant) => variant !== character);
  }

  #bracket(): string {
    const start = this.#skip('^') ? '[^' : '[';
    let items = '';
    while (!this.#skip(']')) items += this.#item();
    if (items === '') throw new NotAlike();
    return `${start}${items}]`;
  }

  #item(): string {
    const first = this.#next();
    if (first === '[' || first === '-') throw new NotAlike();
    if (first === '\\' && /[dswDSW]/.test(this.#peek() ?? '')) {
      const name = this.#next();
      const inClass = name === 'w' && !this.#ignoreCase ? words : classes[name];
      if (inClass === undefined || this.#peek() === '-') throw new NotAlike();
      return inClass;
    }
    const from = first === '\\' ? this.#escaped(this.#next()) : first;
    if (this.#peek() !== '-' || this.#source[this.#at + 1] === ']') {
      return [from, ...this.#variantsOf(from)].map(quoted).join('');
    }
    this.#at += 1;
    const second = this.#next();
    if (second === '[') throw new NotAlike();
    const to = second === '\\' ? this.#escaped(this.#next()) : second;
    return this.#range(from, to);
  }

  #range(from: string, to: string): string {
    const [first, last] = [from.codePointAt(0) ?? 0, to.codePointAt(0) ?? 0];
    const range = `${quoted(from)}-${quoted(to)}`;
    if (!this.#ignoreCase) return range;
    if (last > 0x7f) throw new NotAlike();
    let variants = '';
    for (let code = first; code <= last; code++) {
      variants += this.#variantsOf(String.fromCodePoint(code)).map(quoted).join('');
    }
    return range + variants;
  }
}

/** A character that means itself, inside of brackets and outside. */
function quoted(character: string): string {
  return /[!-/:-@[-`{-~]/.test(character) ? `\\${character}` : character;
}
