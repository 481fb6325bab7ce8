import { createHash, randomBytes } from 'node:crypto';

/** Limited keys have their own prefix, which earlier releases reject. */
const prefixes = { plain: 'kohort_', tagged: 'kohort_tagged_', browser: 'kohort_browser_' } as const;
const keyForm = /^kohort_(?:tagged_|browser_)?[A-Za-z0-9_-]{43}$/;

export function isApiKey(token: string): boolean {
  return keyForm.test(token);
}

export function drawApiKey(kind: keyof typeof prefixes): string {
  return `${prefixes[kind]}${randomBytes(32).toString('base64url')}`;
}

/** A key is long and random, so one round of a fast hash keeps it secret, and it can be looked up by its hash. */
export function hashApiKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
