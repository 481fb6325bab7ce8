import { ArrayDigest } from './array-digest.ts';
import { canonicalText, type Json } from './json.ts';
import { foldCase } from './letter-case.ts';
import { maxMatchSteps, type Pattern } from './regex.ts';
import { versionKey } from './version.ts';

/** Whether the user in question is in a segment. */
export type InSegment = (segmentId: number) => boolean;

/** Arrays and texts shorter than this are read again for each test, which is quicker than to remember them. */
const minRememberedLength = 16;

/**
 * What conditions are put to a user with, beside the attributes, and what has been worked out about these so far. One serves
 * all segments of one user, so that a long array is digested once however many tests look at it.
 */
export class Evaluation {
  readonly inSegment: InSegment;
  /** The moment that is asked about, in whole milliseconds since 1970. */
  readonly now: number;
  /** The first moment after it at which something that was looked at will give another answer. */
  holdsUntil = Number.POSITIVE_INFINITY;
  readonly #minRememberedLength: number;
  #digests: Map<readonly Json[], ArrayDigest> | undefined;
  #canonicalTexts: Map<Json, string> | undefined;
  #versionKeys: Map<string, string | undefined> | undefined;
  #lastVersion: string | undefined;
  #lastVersionKey: string | undefined;
  #foldedTexts: Map<string, string> | undefined;
  #matches: Map<Pattern, Map<string, boolean>> | undefined;

  constructor(now: number, inSegment: InSegment, minLength = minRememberedLength) {
    this.now = now;
    this.inSegment = inSegment;
    this.#minRememberedLength = minLength;
  }

  /** Notes a moment at which something that was looked at changes; in the past it has no say any more. */
  changesAt(moment: number): void {
    if (moment > this.now && moment < this.holdsUntil) this.holdsUntil = moment;
  }

  /** Undefined for an array that is too short for a digest to pay. */
  digestOf(array: readonly Json[]): ArrayDigest | undefined {
    if (array.length < this.#minRememberedLength) return undefined;
    this.#digests ??= new Map();
    let digest = this.#digests.get(array);
    if (digest === undefined) {
      digest = new ArrayDigest(array);
      this.#digests.set(array, digest);
    }
    return digest;
  }

  /** The canonical text of an array or a document. */
  canonicalText(value: Json): string {
    this.#canonicalTexts ??= new Map();
    let text = this.#canonicalTexts.get(value);
    if (text === undefined) {
      text = canonicalText(value);
      this.#canonicalTexts.set(value, text);
    }
    return text;
  }

  versionKey(text: string): string | undefined {
    if (text.length < this.#minRememberedLength) return this.#shortVersionKey(text);
    this.#versionKeys ??= new Map();
    if (!this.#versionKeys.has(text)) this.#versionKeys.set(text, versionKey(text));
    return this.#versionKeys.get(text);
  }

  /** Most tests of a user's version are of one field, one after the other. */
  #shortVersionKey(text: string): string | undefined {
    if (text !== this.#lastVersion) {
      this.#lastVersion = text;
      this.#lastVersionKey = versionKey(text);
    }
    return this.#lastVersionKey;
  }

  foldCase(text: string): string {
    if (text.length < this.#minRememberedLength) return foldCase(text);
    this.#foldedTexts ??= new Map();
    let folded = this.#foldedTexts.get(text);
    if (folded === undefined) {
      folded = foldCase(text);
      this.#foldedTexts.set(text, folded);
    }
    return folded;
  }

  matches(pattern: Pattern, text: string): boolean {
    return this.#matches?.get(pattern)?.get(text) ?? matchesWithinSteps(pattern, text);
  }

  /** Matches a text beforehand, so that a caller can give others their turn between expensive patterns. */
  matchAhead(pattern: Pattern, text: string): void {
    this.#matches ??= new Map();
    let known = this.#matches.get(pattern);
    if (known === undefined) {
      known = new Map();
      this.#matches.set(pattern, known);
    }
    if (!known.has(text)) known.set(text, matchesWithinSteps(pattern, text));
  }
}

/** The engine takes at most about text times program, so a pattern does not look at a text that is too long for its size. */
function matchesWithinSteps(pattern: Pattern, text: string): boolean {
  return pattern.size * text.length <= maxMatchSteps && pattern.matches(text);
}
