import { quoted } from './json-line.ts';

/** A column that is read from the rows. */
export interface Column {
  readonly name: string;
  /** Its index in the rows. */
  readonly at: number;
}

export interface Header {
  /** Known names match in any case and are returned in their standard form; other names are kept as written. */
  readonly columns: readonly Column[];
  /** Excludes trailing columns without a name. */
  readonly width: number;
}

/** Reads the names of columns. Those in `known`, which is in lower case, match in any case. */
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
