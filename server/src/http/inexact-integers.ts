/** The position of the scan: the key or index of the next value in its object or array. */
interface Level {
  readonly isArray: boolean;
  step: string | number;
}

const [quote, backslash, openBrace, closeBrace, openBracket, closeBracket, comma, colon, minus] = [...'"\\{}[],:-'].map(
  (character) => character.charCodeAt(0),
);

/**
 * Finds the path of the first integer in valid JSON text that a double cannot represent exactly; `JSON.parse` would silently
 * change it. Returns undefined when there is none, which a search for long numerals nearly always shows.
 */
export function findInexactInteger(text: string): readonly (string | number)[] | undefined {
  if (!/\d{16}/.test(text)) return undefined;
  const levels: Level[] = [];
  // In an object, a string before a colon is a key, so it is recorded at the colon.
  let lastText = '';
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const level = levels.at(-1);
    if (code === quote) {
      const end = endOfText(text, at);
      if (level && !level.isArray) lastText = text.slice(at, end + 1);
      at = end;
    } else if (code === openBrace || code === openBracket) {
      levels.push(code === openBracket ? { isArray: true, step: 0 } : { isArray: false, step: '' });
    } else if (code === closeBrace || code === closeBracket) {
      levels.pop();
    } else if (code === colon && level) {
      level.step = lastText;
    } else if (code === comma && level && typeof level.step === 'number') {
      level.step += 1;
    } else if (code === minus || isDigit(code)) {
      const end = endOfNumeral(text, at);
      if (isInexact(text.slice(at, end)))
        return levels.map(({ step }) => (typeof step === 'number' ? step : JSON.parse(step)));
      at = end - 1;
    }
  }
  return undefined;
}

function endOfText(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== quote) at += text.charCodeAt(at) === backslash ? 2 : 1;
  return at;
}

function endOfNumeral(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && /[\d.eE+-]/.test(text[at] ?? '')) at += 1;
  return at;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function isInexact(literal: string): boolean {
  if (!/^-?\d{16,}$/.test(literal)) return false;
  return !Number.isFinite(Number(literal)) || BigInt(literal) !== BigInt(Number(literal));
}
