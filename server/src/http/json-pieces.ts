import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { Turns } from '../concurrency/turns.ts';
import { partyOf } from './party.ts';
import { takeUnsent } from './unsent.ts';

/** Small pieces are collected, because every write has a fixed cost. */
const chunkChars = 64 * 1024;

/** Yields chunks and gives other calls their turn in between. */
async function* chunksOf(pieces: Iterable<string>): AsyncGenerator<string> {
  const turns = new Turns();
  let chunk = '';
  for (const piece of pieces) {
    chunk += piece;
    if (chunk.length < chunkChars) continue;
    yield chunk;
    chunk = '';
    if (turns.isOver) await turns.pause();
  }
  if (chunk !== '') yield chunk;
}

/**
 * Sends JSON that is produced in pieces. Building a large answer at once would block other calls. A small answer is sent whole.
 */
export function sendJsonPieces(
  reply: FastifyReply,
  { pieces, bytes }: { readonly pieces: Iterable<string>; readonly bytes: number },
): FastifyReply {
  takeUnsent(reply.raw, bytes, () => partyOf(reply.request));
  reply.type('application/json; charset=utf-8').header('content-length', bytes);
  return reply.send(
    bytes <= chunkChars ? [...pieces].join('') : Readable.from(chunksOf(pieces), { objectMode: false }),
  );
}

/** The members of an object as JSON, the entries of its lists one by one. */
function* entriesOf(page: object): Generator<string> {
  let separator = '{';
  for (const [name, value] of Object.entries(page)) {
    if (value === undefined) continue;
    yield `${separator}${JSON.stringify(name)}:`;
    separator = ',';
    if (!Array.isArray(value)) {
      yield JSON.stringify(value);
      continue;
    }
    yield '[';
    for (const [i, item] of value.entries()) yield (i === 0 ? '' : ',') + JSON.stringify(item);
    yield ']';
  }
  yield separator === '{' ? '{}' : '}';
}

/** Sends JSON of unknown size, whose pieces may take long to make: others have their turn in between. */
export async function sendPieces(reply: FastifyReply, made: Iterable<string>): Promise<FastifyReply> {
  const turns = new Turns();
  const pieces: string[] = [];
  let bytes = 0;
  for (const piece of made) {
    pieces.push(piece);
    bytes += Buffer.byteLength(piece);
    if (turns.isOver) await turns.pause();
  }
  return sendJsonPieces(reply, { pieces, bytes });
}

/** Sends a page of a list: a thousand of its entries may be many megabytes. */
export function sendPage(reply: FastifyReply, page: object): Promise<FastifyReply> {
  return sendPieces(reply, entriesOf(page));
}

/** An object with one list whose items are already ASCII JSON. */
export function listPieces(name: string, items: readonly string[]): { pieces: Iterable<string>; bytes: number } {
  const [opening, closing] = [`{"${name}":[`, ']}'];
  let bytes = opening.length + closing.length + Math.max(0, items.length - 1);
  for (const item of items) bytes += item.length;
  function* pieces(): Generator<string> {
    yield opening;
    for (const [i, item] of items.entries()) yield i === 0 ? item : `,${item}`;
    yield closing;
  }
  return { pieces: pieces(), bytes };
}
