import { quoted } from './json-line.ts';

/** A column that the rows are read for. */
export interface Column {
  readonly name: string;
  /** Its place in the rows. */
  readonly at: number;
}

export interface Header {
  /** Those whose names are known in any case, under that name; all others as they are written. */
  readonly columns: readonly Column[];
  /** Without the columns at the end that have no name. */
  readonly width: number;
}

/** Names of columns that mean the same in any case. */
export function readHeader(names: readonly string[], known: readonly string[]): Header | { fault: string } {
  const width = names.findLastIndex((name) => name !== '') + 1;
  const seen = new Set<string>();
  const columns: Column[] = [];
  for (const [at, written] of names.slice(0, width).entries()) {
    const lower = written.toLowerCase();
    const name = known.includes(lower) ? lower : written;
    if (seen.has(name) && name !== '') return { fault: `names the column ${quoted(name)} twice` };
    seen.add(name);
    columns.push({ name, at });
  }
  return { columns, width };
}

/** Cells beyond the header's must be empty. A row may end early. */
export function widthFault(cells: readonly string[], width: number): string | undefined {
  if (cells.length <= width || cells.slice(width).every((cell) => cell === '')) return undefined;
  return `has ${cells.length} cells, the header has ${width}`;
}
