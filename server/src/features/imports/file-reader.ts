import { maxJobErrors } from '@kohort/contract';
import type { JobError } from '../../jobs/queue.ts';
import { CsvReader } from './csv.ts';
import { declaredSeparator, separatorOf } from './dialect.ts';
import { type JsonObject, parseObject } from './json-line.ts';
import { type Block, LineReader, Unreadable } from './lines.ts';

export type Format = 'csv' | 'tsv' | 'ndjson';

/** A row of the staging table: the cells after `line`, or why the row is not valid. */
export type Staged =
  | { readonly cells: readonly (string | null)[]; readonly warning?: string | undefined }
  | { readonly fault: string };

/** Reads the rows of one kind of file. */
export interface RowReader {
  /** Accepts the column names of a CSV, or returns what is wrong with them. */
  header(names: readonly string[]): string | undefined;
  record(cells: readonly string[]): Staged;
  /** The object was parsed from `text`. */
  object(value: JsonObject, text: string): Staged;
}

const needsEscape = /[\\\n\r\t]/;
const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** A value in the text format of COPY. */
function copyText(value: string | null): string {
  if (value === null) return '\\N';
  return needsEscape.test(value) ? value.replaceAll(/[\\\n\r\t]/g, (one) => escapes[one] ?? one) : value;
}

/**
 * Reads a file, chunk by chunk, into lines for COPY. Keeps the first errors and warnings. A file with errors yields no more
 * lines, since it will not be applied, but reading continues to find further errors.
 */
export class FileReader {
  readonly #reader: RowReader;
  readonly #format: Format;
  readonly #lines = new LineReader();
  readonly #csv: CsvReader;
  readonly errors: JobError[] = [];
  /** Warnings about rows that are applied nevertheless. */
  readonly warnings: JobError[] = [];
  #rows = 0;
  #out = '';
  #hasHeader = false;
  #isUnreadable = false;

  constructor(format: Format, reader: RowReader) {
    this.#format = format;
    this.#reader = reader;
    const visitor = {
      record: (cells: readonly string[], line: number) => this.#record(cells, line),
      fault: (line: number, message: string) => {
        if (!this.#hasHeader) throw new Unreadable(line, message);
        this.#fault(line, message);
      },
    };
    this.#csv = new CsvReader(visitor, { declaredSeparator, separatorOf }, format === 'tsv' ? '\t' : undefined);
  }

  get rows(): number {
    return this.#rows;
  }

  /** The rest of the file does not matter. */
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
    if (this.#format === 'ndjson') this.#readJson(block);
    else this.#csv.read(block);
  }

  #readJson({ text, line: first }: Block): void {
    for (const [i, one] of text.split('\n').entries()) {
      if (one.trim() === '') continue;
      const parsed = parseObject(one);
      this.#stage('fault' in parsed ? parsed : this.#reader.object(parsed.value, one), first + i);
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
    if (staged.warning !== undefined && this.warnings.length < maxJobErrors) {
      this.warnings.push({ line, message: staged.warning, level: 'warning' });
    }
    let row = String(line);
    for (const cell of staged.cells) row += `\t${copyText(cell)}`;
    this.#out += `${row}\n`;
  }

  #fault(line: number, message: string): void {
    if (this.errors.length < maxJobErrors) this.errors.push({ line, message });
  }
}
