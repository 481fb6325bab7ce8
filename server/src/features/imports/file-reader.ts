import { maxJobErrors } from '@kohort/contract';
import { CsvReader } from './csv.ts';
import { type Block, LineReader, Unreadable } from './lines.ts';

export interface JobError {
  /** Null where it is no line that is wrong. */
  readonly line: number | null;
  readonly message: string;
}

export type Format = 'csv' | 'ndjson';

/** A row as it goes into the staging table: the cells after `line`, or why it cannot. */
export type Staged = { readonly cells: readonly (string | null)[] } | { readonly fault: string };

/** How the rows of one kind of file are read. */
export interface RowReader {
  /** Takes the names of the columns of a CSV, or says what is wrong with them. */
  header(names: readonly string[]): string | undefined;
  record(cells: readonly string[]): Staged;
  object(value: Readonly<Record<string, unknown>>): Staged;
}

/** Characters of a line of NDJSON: it is parsed, checked and written again in one turn of the event loop. */
const maxObjectChars = 256 * 1024;

const NEEDS_ESCAPE = /[\\\n\r\t]/;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** A value in the text format of COPY. */
function copyText(value: string | null): string {
  if (value === null) return '\\N';
  return NEEDS_ESCAPE.test(value) ? value.replaceAll(/[\\\n\r\t]/g, (one) => ESCAPES[one] ?? one) : value;
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Reads a file, chunk by chunk, into lines for COPY. Keeps the first errors; a file with errors yields no more lines, since
 * nothing of it will be applied, but is read on for further errors.
 */
export class FileReader {
  readonly #reader: RowReader;
  readonly #format: Format;
  readonly #lines = new LineReader();
  readonly #csv: CsvReader;
  readonly errors: JobError[] = [];
  #rows = 0;
  #out = '';
  #hasHeader = false;
  #isUnreadable = false;

  constructor(format: Format, reader: RowReader) {
    this.#format = format;
    this.#reader = reader;
    this.#csv = new CsvReader({
      record: (cells, line) => this.#record(cells, line),
      fault: (line, message) => {
        if (!this.#hasHeader) throw new Unreadable(line, message);
        this.#fault(line, message);
      },
    });
  }

  get rows(): number {
    return this.#rows;
  }

  /** Nothing that comes still matters. */
  get isOver(): boolean {
    return this.#isUnreadable || this.errors.length >= maxJobErrors;
  }

  /** Lines for COPY. */
  push(chunk: Buffer): string {
    return this.#guard(() => this.#read(this.#lines.push(chunk)));
  }

  end(): string {
    return this.#guard(() => {
      this.#read(this.#lines.end());
      if (this.#format === 'ndjson') return;
      this.#csv.end();
      if (!this.#hasHeader) throw new Unreadable(1, 'the file is empty: its first line must name the columns');
    });
  }

  #guard(read: () => void): string {
    if (this.isOver) return '';
    try {
      read();
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      this.#fault(error.line, error.message);
      this.#isUnreadable = true;
    }
    const out = this.errors.length === 0 ? this.#out : '';
    this.#out = '';
    return out;
  }

  #read(block: Block | undefined): void {
    if (block === undefined) return;
    if (this.#format === 'csv') this.#csv.read(block);
    else this.#readJson(block);
  }

  #readJson({ text, line: first }: Block): void {
    for (const [i, one] of text.split('\n').entries()) {
      if (one.trim() !== '') this.#stage(this.#objectOf(one), first + i);
    }
  }

  #objectOf(text: string): Staged {
    if (text.length > maxObjectChars) return { fault: 'is longer than 256 KiB, the most that an object may have' };
    try {
      const value: unknown = JSON.parse(text);
      return isPlainObject(value) ? this.#reader.object(value) : { fault: 'is not a JSON object' };
    } catch {
      return { fault: 'is not JSON' };
    }
  }

  #record(cells: readonly string[], line: number): void {
    if (this.#hasHeader) {
      this.#stage(this.#reader.record(cells), line);
      return;
    }
    this.#hasHeader = true;
    const fault = this.#reader.header(cells);
    if (fault !== undefined) throw new Unreadable(line, fault);
  }

  #stage(staged: Staged, line: number): void {
    this.#rows++;
    if ('fault' in staged) {
      this.#fault(line, staged.fault);
      return;
    }
    let row = String(line);
    for (const cell of staged.cells) row += `\t${copyText(cell)}`;
    this.#out += `${row}\n`;
  }

  #fault(line: number, message: string): void {
    if (this.errors.length < maxJobErrors) this.errors.push({ line, message });
  }
}

/** Data of the client's as a message shows it. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

/** Cells beyond the header's, which spreadsheets write, must be empty; there must not be fewer. */
export function widthFault(cells: readonly string[], width: number): string | undefined {
  const isRight = cells.length === width || (cells.length > width && cells.slice(width).every((cell) => cell === ''));
  return isRight ? undefined : `has ${cells.length} cells, the header has ${width}`;
}

/** The header without the empty names at its end, or what is wrong with it. */
export function readHeader(names: readonly string[]): { names: readonly string[] } | { fault: string } {
  const last = names.findLastIndex((name) => name !== '');
  const used = names.slice(0, last + 1);
  const seen = new Set<string>();
  const twice = used.find((name) => seen.size === seen.add(name).size);
  if (twice !== undefined) return { fault: `names the column ${quoted(twice)} twice` };
  if (used.includes('')) return { fault: 'has a column without a name' };
  return { names: used };
}
