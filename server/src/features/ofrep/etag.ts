import { createHash } from 'node:crypto';

/** A strong entity tag of whatever the answer depends on. */
export function entityTagOf(parts: readonly unknown[]): string {
  return `"${createHash('sha256').update(JSON.stringify(parts)).digest('base64url')}"`;
}

/** Whether an `If-None-Match` names the tag: by the weak comparison of RFC 9110, 13.1.2. */
export function isNamed(tag: string, ifNoneMatch: string | undefined): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === '*') return true;
  // Tags may hold commas, so the list is not split at them.
  return (ifNoneMatch.match(/(?:W\/)?"[^"]*"/g) ?? []).some((one) => one.replace(/^W\//, '') === tag);
}
