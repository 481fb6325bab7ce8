/** What is counted in the text of JSON before it is parsed. */
export interface JsonSize {
  /** Members of the object that has most. */
  readonly fields: number;
  /** Members of all objects together. */
  readonly allFields: number;
}

const quote = 0x22;
const backslash = 0x5c;
const colon = 0x3a;
const openBrace = 0x7b;
const openBracket = 0x5b;
const closeBrace = 0x7d;
const closeBracket = 0x5d;
/** Deeper ones are refused anyway; what they hold is counted for the innermost that is. */
const maxDepth = 128;

/**
 * Counts fields without making anything of them. An object of a hundred thousand fields, which no call takes, is only found to
 * be one after a parser has spent a good part of a second on it, in one turn of the event loop.
 */
export function measureJson(text: Buffer): JsonSize {
  const counts = new Uint32Array(maxDepth);
  let depth = 0;
  let fields = 0;
  let allFields = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case quote:
        for (i++; i < text.length && text[i] !== quote; i++) if (text[i] === backslash) i++;
        break;
      case colon: {
        const level = Math.min(depth, maxDepth - 1);
        const count = (counts[level] ?? 0) + 1;
        counts[level] = count;
        allFields++;
        if (count > fields) fields = count;
        break;
      }
      case openBrace:
      case openBracket:
        depth++;
        if (depth < maxDepth) counts[depth] = 0;
        break;
      case closeBrace:
      case closeBracket:
        if (depth > 0) depth--;
        break;
    }
  }
  return { fields, allFields };
}
