/** Leading or trailing blanks, which CSV readers trim from unquoted cells, including zero-width ones and the byte order mark. */
const edgeBlank = /^[\s\u200b-\u200d\u2060\ufeff]|[\s\u200b-\u200d\u2060\ufeff]$/;

/**
 * Stricter than RFC 4180: a cell is also quoted if it contains a semicolon or a tab, which spreadsheets in many countries take
 * for separators, or if a reader would trim it.
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

/** One line with a plain line feed, which both spreadsheets and line tools accept. */
export function csvLine(cells: readonly string[]): string {
  return `${cells.map((cell) => quote(defuse(cell))).join(',')}\n`;
}
