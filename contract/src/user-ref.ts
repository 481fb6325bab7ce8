import { maxExternalIdBytes, maxUserId } from './common.ts';
import { invalid } from './problem.ts';

/** A reference to a user: by id, or by external id. */
export type UserRef =
  | { readonly id: number; readonly externalId?: never }
  | { readonly externalId: string; readonly id?: never };

const encoder = new TextEncoder();
// Control characters: C0, DEL and C1.
const CONTROL = /\p{Cc}/u;

/** Why a text is not a valid external id; undefined if it is. */
export function externalIdFault(text: string): string | undefined {
  if (text === '') return 'must not be empty';
  if (!text.isWellFormed()) return 'must be valid Unicode';
  if (CONTROL.test(text)) return 'must not hold control characters';
  if (text.length > maxExternalIdBytes || encoder.encode(text).length > maxExternalIdBytes) {
    return `must not be longer than ${maxExternalIdBytes} bytes`;
  }
  return undefined;
}

/** A decimal id without leading zeros, or undefined. */
export function parseId(text: string): number | undefined {
  const id = /^[1-9][0-9]{0,15}$/.test(text) ? Number(text) : Number.NaN;
  return id <= maxUserId ? id : undefined;
}

/**
 * Reads `2` or `ext:4f2a@shop` (already percent-decoded).
 * @throws Problem 400 that names `path`.
 */
export function parseUserRef(text: string, path = '/path/user'): UserRef {
  if (text.startsWith('ext:')) {
    const externalId = text.slice(4);
    const fault = externalIdFault(externalId);
    if (fault) throw invalid(path, fault);
    return { externalId };
  }
  const id = parseId(text);
  if (id === undefined) throw invalid(path, `must be an id from 1 to ${maxUserId}, or ext: and an external id`);
  return { id };
}
