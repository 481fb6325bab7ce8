/** RFC 4180: quoted where a cell holds a quote, a comma or a line break. */
export function quote(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

/**
 * A cell that a spreadsheet would take for a formula is given an apostrophe, which makes it text (OWASP, CSV injection).
 */
export function defuse(cell: string): string {
  return /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
}

/** One line, with its line break: the plain one, which spreadsheets and line tools both take. */
export function csvLine(cells: readonly string[]): string {
  return `${cells.map((cell) => quote(defuse(cell))).join(',')}\n`;
}
