import { skipBlanks, trimBlanks } from './blanks.ts';
import { type Block, maxLineBytes, Unreadable } from './lines.ts';

export interface CsvVisitor {
  /** Cells, trimmed unless they are quoted. */
  record(cells: readonly string[], line: number): void;
  /** A record that cannot be parsed; reading continues with the next line. */
  fault(line: number, message: string): void;
}

export type Separator = ',' | ';' | '\t';

/** How the separator of a file is found. */
export interface Dialect {
  /** For a line before the header that declares the separator. */
  declaredSeparator(line: string): Separator | undefined;
  separatorOf(header: string): Separator;
}

/** The most cells in a record, including empty ones. Together with the bound on a line it bounds the work per record. */
export const maxCells = 1_000;

const QUOTE = '"';
const TOO_WIDE = { message: `has more than ${maxCells} cells` } as const;

type Quoted =
  | { readonly cells: string[]; readonly next: number; readonly breaks: number }
  | { readonly message: string }
  | undefined;

/** The cells of one line. */
export function splitLine(line: string, separator: Separator): readonly string[] {
  const record = line.includes(QUOTE) ? takeQuoted(`${line}\n`, 0, separator) : undefined;
  return record && 'cells' in record ? record.cells : split(line, separator);
}

function split(row: string, separator: Separator): string[] {
  if (!row.includes(separator)) return [trimBlanks(row)];
  const cells = row.split(separator, maxCells + 1);
  for (let i = 0; i < cells.length; i++) cells[i] = trimBlanks(cells[i] ?? '');
  return cells;
}

/**
 * RFC 4180 over blocks of whole lines. Most lines of real files have no quotes and are split at the separators. Only records with
 * quotes are scanned character by character, and only they can span several lines.
 */
export class CsvReader {
  readonly #visitor: CsvVisitor;
  readonly #dialect: Dialect;
  #separator: Separator | undefined;
  /** The text of an incomplete record so far. */
  #held: string[] = [];
  #heldSize = 0;
  #heldLine = 0;
  /**
   * An incomplete record is parsed again once it has grown by a quarter, so that a long one is not scanned for each block and
   * little is buffered behind it.
   */
  #parseAgainAt = 0;

  constructor(visitor: CsvVisitor, dialect: Dialect, separator?: Separator) {
    this.#visitor = visitor;
    this.#dialect = dialect;
    this.#separator = separator;
  }

  /** @throws Unreadable */
  read(block: Block): void {
    if (this.#held.length === 0) {
      this.#scan(block.text, block.line);
      return;
    }
    this.#hold(block.text);
    if (this.#heldSize >= this.#parseAgainAt) this.#scanHeld('');
  }

  /** @throws Unreadable */
  end(): void {
    if (this.#held.length === 0) return;
    // The last line of a file may have no line break.
    this.#scanHeld('\n');
    if (this.#held.length > 0) throw new Unreadable(this.#heldLine, 'a quote is never closed');
  }

  #hold(text: string): void {
    this.#held.push(text);
    this.#heldSize += text.length;
  }

  #scanHeld(ending: string): void {
    const text = this.#held.join('') + ending;
    this.#held = [];
    this.#heldSize = 0;
    this.#scan(text, this.#heldLine);
  }

  #scan(text: string, from: number): void {
    let line = from;
    let quote = -2;
    for (let at = 0; at < text.length; ) {
      const found = text.indexOf('\n', at);
      const end = found === -1 ? text.length : found;
      const separator = this.#separator ?? this.#beginWith(text.slice(at, end));
      if (quote !== -1 && quote < at) quote = text.indexOf(QUOTE, at);
      if (separator === undefined || quote === -1 || quote > end) {
        if (separator !== undefined) this.#record(split(text.slice(at, end), separator), line);
        at = end + 1;
        line++;
        continue;
      }
      const record = takeQuoted(text, at, separator);
      if (record === undefined) {
        this.#holdFrom(text.slice(at), line);
        return;
      }
      if ('message' in record) {
        this.#visitor.fault(line, record.message);
        at = end + 1;
        line++;
      } else {
        this.#record(record.cells, line);
        at = record.next;
        line += record.breaks;
      }
    }
  }

  /** Detects the separator from the header. Undefined for lines that may precede it. */
  #beginWith(line: string): Separator | undefined {
    const declared = this.#dialect.declaredSeparator(line);
    if (declared !== undefined) {
      this.#separator = declared;
      return undefined;
    }
    if (/^[,;\s]*$/.test(line)) return undefined;
    this.#separator = this.#dialect.separatorOf(line);
    return this.#separator;
  }

  #holdFrom(text: string, line: number): void {
    if (text.length > maxLineBytes) throw new Unreadable(line, 'a quote is not closed within 1 MiB');
    this.#hold(text);
    this.#heldLine = line;
    this.#parseAgainAt = Math.min(1.25 * this.#heldSize, maxLineBytes + 1);
  }

  #record(cells: readonly string[], line: number): void {
    if (cells.length > maxCells) this.#visitor.fault(line, TOO_WIDE.message);
    // Empty rows are skipped: spreadsheets write them below the last row.
    else if (cells[0] !== '' || cells.some((cell) => cell !== '')) this.#visitor.record(cells, line);
  }
}

type QuotedCell = { readonly cell: string; readonly next: number } | undefined;

/** The text between the quote before `from` and the closing one; undefined until that has arrived. */
function takeCell(text: string, from: number): QuotedCell {
  let cell = '';
  for (let start = from; ; ) {
    const close = text.indexOf(QUOTE, start);
    if (close === -1 || close + 1 >= text.length) return undefined;
    cell += text.slice(start, close);
    if (text[close + 1] !== QUOTE) return { cell, next: close + 1 };
    cell += QUOTE;
    start = close + 2;
  }
}

function breaksIn(cell: string): number {
  let breaks = 0;
  for (let found = cell.indexOf('\n'); found !== -1; found = cell.indexOf('\n', found + 1)) breaks++;
  return breaks;
}

/** One record with a quote in its first line; undefined until its end has arrived. */
function takeQuoted(text: string, from: number, separator: Separator): Quoted {
  const cells: string[] = [];
  let breaks = 0;
  let nl = -1;
  for (let at = from; ; ) {
    const first = skipBlanks(text, at, separator);
    if (text[first] === QUOTE) {
      const taken = takeCell(text, first + 1);
      if (taken === undefined) return undefined;
      breaks += breaksIn(taken.cell);
      cells.push(taken.cell);
      at = skipBlanks(text, taken.next, separator);
      if (at === text.length) return undefined;
      if (text[at] !== separator && text[at] !== '\n') return { message: 'has text after a closing quote' };
    } else {
      if (nl < at) nl = text.indexOf('\n', at);
      if (nl === -1) return undefined;
      // Searched within the line only: the rest of the text may be long and have none.
      const found = text.slice(at, nl).indexOf(separator);
      const end = found === -1 ? nl : at + found;
      const cell = trimBlanks(text.slice(at, end));
      if (cell.includes(QUOTE)) return { message: 'has a quote within a cell that does not begin with one' };
      cells.push(cell);
      at = end;
    }
    if (text[at] === '\n') return { cells, next: at + 1, breaks: breaks + 1 };
    if (cells.length === maxCells) return TOO_WIDE;
    at++;
  }
}
