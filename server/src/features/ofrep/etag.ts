import { createHash } from 'node:crypto';
import { Turns } from '../../concurrency/turns.ts';

/** A strong entity tag of everything that the answer depends on. `texts` may be megabytes, so hashing yields to other calls. */
export async function entityTagOf(parts: readonly unknown[], texts: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(parts));
  const turns = new Turns();
  for (const text of texts) {
    hash.update(`\n${text}`);
    if (turns.isOver) await turns.pause();
  }
  return `"${hash.digest('base64url')}"`;
}

/** Whether an `If-None-Match` names the tag: by the weak comparison of RFC 9110, 13.1.2. */
export function isNamed(tag: string, ifNoneMatch: string | undefined): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === '*') return true;
  // Tags may contain commas, so the list is not split at them.
  return (ifNoneMatch.match(/(?:W\/)?"[^"]*"/g) ?? []).some((one) => one.replace(/^W\//, '') === tag);
}
