import { createHash, randomBytes } from 'node:crypto';

const keyForm = /^kohort_[A-Za-z0-9_-]{43}$/;

export function isApiKey(token: string): boolean {
  return keyForm.test(token);
}

export function drawApiKey(): string {
  return `kohort_${randomBytes(32).toString('base64url')}`;
}

/** A key is long and random, so one round of a fast hash keeps it secret, and it can be looked up by its hash. */
export function hashApiKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
