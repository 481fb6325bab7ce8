import { createHash, randomBytes } from 'node:crypto';

const FORM = /^kohort_[A-Za-z0-9_-]{43}$/;

export function isApiKey(token: string): boolean {
  return FORM.test(token);
}

export function drawApiKey(): string {
  return `kohort_${randomBytes(32).toString('base64url')}`;
}

/** A key is random and long: one round of a fast hash keeps it secret, and lets it be found. */
export function hashApiKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
