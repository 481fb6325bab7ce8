/** Counts over JSON text, made before it is parsed. */
export interface JsonSize {
  /** Members of the largest object. */
  readonly fields: number;
  /** Members of all objects together. */
  readonly allFields: number;
  readonly depth: number;
}

const quote = 0x22;
const backslash = 0x5c;
const colon = 0x3a;
const openBrace = 0x7b;
const openBracket = 0x5b;
const closeBrace = 0x7d;
const closeBracket = 0x5d;
/** Deeper values are refused; their fields count as if they were at this depth. */
const maxDepth = 128;

/**
 * Counts without building values. A parser blocks the event loop for a good part of a second on an object of a hundred thousand
 * fields or on lists nested half a million deep, which no call accepts.
 */
export function measureJson(text: Buffer): JsonSize {
  const counts = new Uint32Array(maxDepth);
  let depth = 0;
  let deepest = 0;
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
        if (depth > deepest) deepest = depth;
        if (depth < maxDepth) counts[depth] = 0;
        break;
      case closeBrace:
      case closeBracket:
        if (depth > 0) depth--;
        break;
    }
  }
  return { fields, allFields, depth: deepest };
}
