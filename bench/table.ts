export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

const IS_NUMBER = /^(?:–|[-+]?[\d,]*\.?\d+)$/;

/** Markdown that is readable on a terminal: aligned columns, figures on the right. */
export function renderTable({ columns, rows }: Table): string {
  const right = columns.map((_, i) => rows.length > 0 && rows.every((row) => IS_NUMBER.test(row[i] ?? '')));
  const widths = columns.map((name, i) => Math.max(3, name.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]) =>
    `| ${widths
      .map((width, i) => (right[i] ? (cells[i] ?? '').padStart(width) : (cells[i] ?? '').padEnd(width)))
      .join(' | ')} |`;
  const rule = `|${widths.map((width, i) => (right[i] ? `${'-'.repeat(width + 1)}:` : '-'.repeat(width + 2))).join('|')}|`;
  return [line(columns), rule, ...rows.map(line)].join('\n');
}

export function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A noisy machine yields three significant figures at most. */
export function formatDecimal(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '–';
  return value >= 100 ? formatCount(value) : value.toFixed(value >= 10 ? 1 : 2);
}
