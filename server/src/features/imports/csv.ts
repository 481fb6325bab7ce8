import { type Block, maxLineBytes, Unreadable } from './lines.ts';

export interface CsvVisitor {
  record(cells: readonly string[], line: number): void;
  /** A record that cannot be taken apart; reading goes on with the next line. */
  fault(line: number, message: string): void;
}

/** Cells of a record, its empty ones included. With the bound on a line it bounds the work that one record makes. */
export const maxCells = 1_000;

const COMMA = ',';
const QUOTE = '"';
const TOO_WIDE = { message: `has more than ${maxCells} cells` } as const;

/** The end of a line, without its line break. */
function trimmed(text: string, from: number, to: number): string {
  return text.charCodeAt(to - 1) === 13 && to > from ? text.slice(from, to - 1) : text.slice(from, to);
}

type Quoted =
  | { readonly cells: string[]; readonly next: number; readonly breaks: number }
  | { readonly message: string }
  | undefined;

/**
 * RFC 4180 over blocks of whole lines. Nearly every line of a real file has no quote, and is split at its commas; only a
 * record with quotes is gone through by hand, and only such a one can go over several lines.
 */
export class CsvReader {
  readonly #visitor: CsvVisitor;
  /** What belongs to a record whose end has not come, and what has come since. */
  #held: string[] = [];
  #heldSize = 0;
  #heldLine = 0;
  /**
   * A record is looked at again when a quarter more of it is there: a long one is not gone through for each block, and not
   * much waits behind it.
   */
  #lookAgainAt = 0;

  constructor(visitor: CsvVisitor) {
    this.#visitor = visitor;
  }

  /** @throws Unreadable */
  read(block: Block): void {
    if (this.#held.length === 0) {
      this.#scan(block.text, block.line);
      return;
    }
    this.#hold(block.text);
    if (this.#heldSize >= this.#lookAgainAt) this.#scanHeld('');
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
      if (quote !== -1 && quote < at) quote = text.indexOf(QUOTE, at);
      const found = text.indexOf('\n', at);
      const end = found === -1 ? text.length : found;
      if (quote === -1 || quote > end) {
        const row = trimmed(text, at, end);
        // Blank lines say nothing.
        if (row !== '') this.#record(row.includes(COMMA) ? row.split(COMMA, maxCells + 1) : [row], line);
        at = end + 1;
        line++;
        continue;
      }
      const record = takeQuoted(text, at);
      if (record === undefined) {
        if (text.length - at > maxLineBytes) throw new Unreadable(line, 'a quote is not closed within 1 MiB');
        this.#hold(text.slice(at));
        this.#heldLine = line;
        this.#lookAgainAt = Math.min(1.25 * this.#heldSize, maxLineBytes + 1);
        return;
      }
      if ('message' in record) {
        this.#visitor.fault(line, record.message);
        at = end + 1;
        line++;
      } else {
        this.#visitor.record(record.cells, line);
        at = record.next;
        line += record.breaks;
      }
    }
  }

  #record(cells: readonly string[], line: number): void {
    if (cells.length > maxCells) this.#visitor.fault(line, TOO_WIDE.message);
    else this.#visitor.record(cells, line);
  }

  /** @throws Unreadable */
  end(): void {
    if (this.#held.length === 0) return;
    // The last line of a file may lack its line break.
    this.#scanHeld('\n');
    if (this.#held.length > 0) throw new Unreadable(this.#heldLine, 'a quote is never closed');
  }
}

/** One record that has a quote in its first line; undefined while its end is not there yet. */
function takeQuoted(text: string, from: number): Quoted {
  const cells: string[] = [];
  let breaks = 0;
  let nl = -1;
  for (let at = from; ; ) {
    if (text[at] === QUOTE) {
      let cell = '';
      for (let start = at + 1; ; ) {
        const close = text.indexOf(QUOTE, start);
        if (close === -1 || close + 1 >= text.length) return undefined;
        cell += text.slice(start, close);
        start = close + 1;
        at = start;
        if (text[start] !== QUOTE) break;
        cell += QUOTE;
        start++;
      }
      for (let found = cell.indexOf('\n'); found !== -1; found = cell.indexOf('\n', found + 1)) breaks++;
      cells.push(cell);
      if (text[at] === '\r') at++;
      if (at === text.length) return undefined;
      if (text[at] !== COMMA && text[at] !== '\n') return { message: 'has text after a closing quote' };
    } else {
      if (nl < at) nl = text.indexOf('\n', at);
      if (nl === -1) return undefined;
      // Looked for within the line: in the rest of the text there may be none for long.
      const comma = text.slice(at, nl).indexOf(COMMA);
      const end = comma === -1 ? nl : at + comma;
      const cell = end === nl ? trimmed(text, at, end) : text.slice(at, end);
      if (cell.includes(QUOTE)) return { message: 'has a quote within a cell that does not begin with one' };
      cells.push(cell);
      at = end;
    }
    if (text[at] === '\n') return { cells, next: at + 1, breaks: breaks + 1 };
    if (cells.length === maxCells) return TOO_WIDE;
    at++;
  }
}
