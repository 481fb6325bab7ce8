import { createHmac, timingSafeEqual } from 'node:crypto';
import { invalid } from '@kohort/contract';

const MAC_BYTES = 16;

/**
 * Opaque positions in lists: the sort key of the last row shown, signed and bound to its list, so that a cursor that was altered or
 * used with another list is refused instead of misread.
 */
export interface Cursors {
  encode(list: string, key: readonly (string | number)[]): string;
  /** @throws Problem 400 if the text is not a cursor of that list. */
  decode(list: string, text: string): (string | number)[];
}

export function createCursors(secret: string): Cursors {
  const key = createHmac('sha256', secret).update('kohort cursors').digest();
  const mac = (list: string, payload: Buffer) =>
    createHmac('sha256', key).update(list).update('\0').update(payload).digest().subarray(0, MAC_BYTES);

  return {
    encode(list, place) {
      const payload = Buffer.from(JSON.stringify(place));
      return Buffer.concat([mac(list, payload), payload]).toString('base64url');
    },
    decode(list, text) {
      const bytes = Buffer.from(text, 'base64url');
      const payload = bytes.subarray(MAC_BYTES);
      const genuine =
        bytes.length > MAC_BYTES &&
        bytes.toString('base64url') === text &&
        timingSafeEqual(bytes.subarray(0, MAC_BYTES), mac(list, payload));
      if (!genuine) throw invalid('/query/cursor', 'is not a cursor of this list');
      return JSON.parse(payload.toString('utf8')) as (string | number)[];
    },
  };
}

/**
 * For lists of an owner, whose cursors start with the owner's id: the rest of the position. The cursor is read before the owner
 * is looked up, since malformed input is refused before a missing owner.
 * @throws Problem 400 if the cursor belongs to the list of another owner.
 */
export function placeWithin(
  owner: number,
  place: readonly (string | number)[] | undefined,
): readonly (string | number)[] | undefined {
  if (place && place[0] !== owner) throw invalid('/query/cursor', 'is not a cursor of this list');
  return place?.slice(1);
}

/** `rows` are one more than are shown, which says whether there is a next page. */
export function pageOf<Row>(
  rows: readonly Row[],
  limit: number,
  cursorOf: (last: Row) => string,
): { rows: Row[]; next_cursor: string | null } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return { rows: shown, next_cursor: rows.length > shown.length && last !== undefined ? cursorOf(last) : null };
}

/** A page of large rows ends early, at this size. */
export const pageBytes = 4 * 1024 * 1024;

/** The size of a row, and of the rows before it. */
export interface Sized {
  readonly bytes: number;
  readonly bytes_before: number;
}

/** How many rows fit on a page; at least one. Statements omit the rows after the first that does not fit. */
export function fitting(rows: readonly Sized[], maxBytes = pageBytes): number {
  const over = rows.findIndex(({ bytes_before, bytes }, i) => i > 0 && bytes_before + bytes > maxBytes);
  return over === -1 ? rows.length : over;
}
