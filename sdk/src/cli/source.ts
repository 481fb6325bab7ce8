import { createReadStream, fstat, open } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { UsageError } from './exits.ts';
import type { Progress } from './progress.ts';

/** The data to send. */
export interface Source {
  /** Errors name the file as it was given. */
  chunks(progress: Progress): AsyncGenerator<Uint8Array>;
  /** Drops the rest. A pipe whose other end stays open would keep the process running. */
  close(): void;
}

function unreadable(file: string, error: unknown): UsageError {
  const reason = error instanceof Error && 'code' in error ? ` (${error.code})` : '';
  return new UsageError(`${file} cannot be read${reason}.`);
}

async function streamOf(file: string): Promise<{ stream: Readable; size: number | undefined }> {
  if (file === '-' || file === '/dev/stdin') return { stream: process.stdin, size: undefined };
  const fd = await promisify(open)(file, 'r');
  const found = await promisify(fstat)(fd);
  if (found.isFile()) return { stream: createReadStream(file, { fd }), size: found.size };
  // Read as a file, a pipe could not be closed before its other end writes.
  if (found.isFIFO()) return { stream: new Socket({ fd, readable: true, writable: false }), size: undefined };
  throw new UsageError(`${file} is no file that can be read.`);
}

/** A file, a named pipe, or standard input (`-`). */
export async function sourceOf(file: string): Promise<Source> {
  const { stream, size } = await streamOf(file).catch((error) => {
    throw error instanceof UsageError ? error : unreadable(file, error);
  });
  return {
    async *chunks(progress) {
      let sent = 0;
      try {
        for await (const chunk of stream as AsyncIterable<Uint8Array>) {
          sent += chunk.length;
          progress.show('sending bytes', sent, size);
          yield chunk;
        }
      } catch (error) {
        throw unreadable(file, error);
      }
    },
    close: () => void stream.destroy(),
  };
}
