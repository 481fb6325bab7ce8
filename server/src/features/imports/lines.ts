import { isUtf8 } from 'node:buffer';

/** An error that makes the rest of a file unreadable. The message is shown to the sender of the file. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

/** The complete lines of a chunk, each with its line break. */
export interface Block {
  readonly text: string;
  /** The number of its first line in the file, from 1. */
  readonly line: number;
}

/** Far above any sensible row. Bounds the memory of the reader. */
export const maxLineBytes = 1024 * 1024;
const NEWLINE = 10;

function encodingFault(bytes: Buffer): string | undefined {
  if (bytes.includes(0)) return 'holds NUL: is the file UTF-16? Save it as UTF-8';
  if (!isUtf8(bytes)) return 'is not valid UTF-8: save the file as UTF-8';
  return undefined;
}

/** Splits a stream of bytes into blocks of whole lines of UTF-8, in constant memory. */
export class LineReader {
  #held: Buffer[] = [];
  #heldBytes = 0;
  #line = 1;
  #begun = false;

  /** @throws Unreadable */
  push(chunk: Buffer): Block | undefined {
    const last = chunk.lastIndexOf(NEWLINE);
    if (last === -1) {
      this.#hold(chunk);
      return undefined;
    }
    const whole = this.#held.length === 0 ? chunk.subarray(0, last + 1) : this.#take(chunk.subarray(0, last + 1));
    const rest = chunk.subarray(last + 1);
    const block = this.#decode(whole);
    if (rest.length > 0) this.#hold(rest);
    return block;
  }

  /** The rest at the end of the stream: a last line without a line break. */
  end(): Block | undefined {
    const rest = this.#take(Buffer.alloc(0));
    return rest.length === 0 ? undefined : this.#decode(rest);
  }

  #hold(bytes: Buffer): void {
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > maxLineBytes) {
      const fault = encodingFault(this.#take(Buffer.alloc(0)).subarray(0, 1024));
      throw new Unreadable(this.#line, fault?.startsWith('holds NUL') ? fault : 'is longer than 1 MiB');
    }
  }

  #take(more: Buffer): Buffer {
    const all = Buffer.concat([...this.#held, more]);
    this.#held = [];
    this.#heldBytes = 0;
    return all;
  }

  #decode(bytes: Buffer): Block {
    const line = this.#line;
    let from = 0;
    if (!this.#begun) {
      this.#begun = true;
      if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
        throw new Unreadable(1, 'the file is UTF-16: save it as UTF-8');
      }
      if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) from = 3;
    }
    if (encodingFault(bytes) !== undefined) this.#blame(bytes);
    let lines = 0;
    for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
    this.#line += lines;
    return { text: bytes.toString('utf8', from), line };
  }

  #blame(bytes: Buffer): never {
    let line = this.#line;
    for (let from = 0; from < bytes.length; line++) {
      const found = bytes.indexOf(NEWLINE, from);
      const end = found === -1 ? bytes.length : found + 1;
      const fault = encodingFault(bytes.subarray(from, end));
      if (fault !== undefined) throw new Unreadable(line, fault);
      from = end;
    }
    throw new Unreadable(this.#line, 'cannot be read as UTF-8');
  }
}
