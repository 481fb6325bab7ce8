import { createHash } from 'node:crypto';
import { invalid } from '@kohort/contract';

/** A position among the changes: the id of the last known one, and its nonce, which shows that the id was not reused. */
export interface Position {
  readonly id: number;
  readonly nonce: number;
}

const version = 1;
const markBytes = 6;
const digestBytes = 4;
const payloadBytes = 1 + markBytes + 8 + 4;

/** A few bytes that identify a database. */
export function markOf(database: string): Buffer {
  return createHash('sha256').update(database).digest().subarray(0, markBytes);
}

function digest(payload: Buffer): Buffer {
  return createHash('sha256').update('kohort position').update(payload).digest().subarray(0, digestBytes);
}

/**
 * The cursor of a position. It is not signed: it grants no access, and a new secret must not send every follower back to the
 * snapshot. The digest detects typing errors.
 */
export function encodePosition(mark: Buffer, { id, nonce }: Position): string {
  const payload = Buffer.alloc(payloadBytes);
  payload.writeUInt8(version);
  mark.copy(payload, 1);
  payload.writeBigUInt64BE(BigInt(id), 1 + markBytes);
  payload.writeInt32BE(nonce, 1 + markBytes + 8);
  return Buffer.concat([payload, digest(payload)]).toString('base64url');
}

/** @throws Problem 400 if the text is not a cursor of any database. */
export function checkPosition(text: string, path: string): void {
  decodePosition(Buffer.alloc(markBytes), text, path);
}

/**
 * Undefined for a position in another database.
 * @throws Problem 400 if the text is not a cursor.
 */
export function decodePosition(mark: Buffer, text: string, path: string): Position | undefined {
  const bytes = Buffer.from(text, 'base64url');
  const payload = bytes.subarray(0, payloadBytes);
  const isOurs =
    bytes.length === payloadBytes + digestBytes &&
    bytes.toString('base64url') === text &&
    payload.readUInt8() === version &&
    digest(payload).equals(bytes.subarray(payloadBytes));
  if (!isOurs) throw invalid(path, 'is not a cursor of a feed');
  const id = Number(payload.readBigUInt64BE(1 + markBytes));
  if (!mark.equals(payload.subarray(1, 1 + markBytes))) return undefined;
  return { id, nonce: payload.readInt32BE(1 + markBytes + 8) };
}
