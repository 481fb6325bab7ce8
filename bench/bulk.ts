import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

const PIECE_LINES = 5_000;

/** Lines for the ids from 1 to `size`, in that order, repeated `times` times. Yields many at once, since each piece of a stream costs. */
function* linesOf(size: number, times: number, lineOf: (id: number) => string): Generator<string> {
  for (let time = 0; time < times; time++) {
    for (let first = 1; first <= size; first += PIECE_LINES) {
      const count = Math.min(PIECE_LINES, size - first + 1);
      yield Array.from({ length: count }, (_, i) => lineOf(first + i)).join('');
    }
  }
}

/** A file for an import: a header, then one id a line. */
export async function writeIdFile(file: string, size: number, times: number): Promise<void> {
  const lines = function* () {
    yield 'user_id\n';
    yield* linesOf(size, times, (id) => `${id}\n`);
  };
  await pipeline(Readable.from(lines()), createWriteStream(file));
}

/** A table with the columns, indexes and constraints of `memberships` that only COPY writes to. */
export async function createPlainCopy(client: pg.Client): Promise<void> {
  await client.query(`
    CREATE TABLE plain_copy (LIKE memberships INCLUDING ALL);
    INSERT INTO plain_copy SELECT * FROM memberships;
    ALTER TABLE plain_copy ADD FOREIGN KEY (segment_id) REFERENCES segments;
    ANALYZE plain_copy;`);
}

/** Copies users 1 to `size` into a segment. @returns the number of rows. */
export async function copyMemberships(
  client: pg.Client,
  { slug, size }: { slug: string; size: number },
): Promise<number> {
  const { rows } = await client.query<{ id: string }>('SELECT id FROM segments WHERE slug = $1', [slug]);
  const segment = rows[0]?.id;
  const since = new Date().toISOString();
  const target = client.query(copyFrom('COPY plain_copy (user_id, segment_id, mode, since) FROM STDIN'));
  await pipeline(Readable.from(linesOf(size, 1, (id) => `${id}\t${segment}\tinclude\t${since}\n`)), target);
  return target.rowCount;
}
