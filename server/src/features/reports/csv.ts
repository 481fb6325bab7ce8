/** Blanks at either end, which readers of CSV trim from an unquoted cell: zero-width ones and the byte order mark too. */
const edgeBlank = /^[\s\u200b-\u200d\u2060\ufeff]|[\s\u200b-\u200d\u2060\ufeff]$/;

/**
 * RFC 4180, and stricter: a cell is also quoted where it holds a semicolon or a tab, which spreadsheets of many countries take
 * for separators, or where a reader would trim it.
 */
export function quote(cell: string): string {
  return /[",;\t\r\n]/.test(cell) || edgeBlank.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

/**
 * A cell that a spreadsheet would take for a formula gets an apostrophe, which makes it text (OWASP, CSV injection). The
 * full-width forms count as well: East Asian spreadsheets accept them.
 */
export function defuse(cell: string): string {
  return /^[=+\-@\t\r＝＋－＠]/.test(cell) ? `'${cell}` : cell;
}

/** One line with a plain line feed, which spreadsheets and line tools both take. */
export function csvLine(cells: readonly string[]): string {
  return `${cells.map((cell) => quote(defuse(cell))).join(',')}\n`;
}
