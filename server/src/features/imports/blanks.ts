/** White space, no-break and zero-width characters. Other control characters stay, and are refused later. */
function isBlank(code: number): boolean {
  if (code < 0x7f) return code === 0x20 || (code >= 0x09 && code <= 0x0d);
  return (
    code === 0xa0 ||
    code === 0x1680 ||
    (code >= 0x2000 && code <= 0x200d) ||
    code === 0x2028 ||
    code === 0x2029 ||
    code === 0x202f ||
    code === 0x205f ||
    code === 0x2060 ||
    code === 0x3000 ||
    code === 0xfeff
  );
}

/** Unlike `trim`, also removes zero-width characters: with one at its end an id looks the same, but is another user. */
export function trimBlanks(text: string): string {
  let [from, to] = [0, text.length];
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return to - from === text.length ? text : text.slice(from, to);
}

/** The first position from `at` on that is not blank, or that holds `stop`. */
export function skipBlanks(text: string, at: number, stop: string): number {
  let next = at;
  while (next < text.length && text[next] !== stop && text[next] !== '\n' && isBlank(text.charCodeAt(next))) next++;
  return next;
}
