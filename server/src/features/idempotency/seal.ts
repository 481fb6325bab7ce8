import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const CIPHER = 'aes-256-gcm';
const NONCE = 12;
const TAG = 16;

export interface SealedCall {
  readonly actor: string;
  readonly key: string;
  readonly requestHash: Buffer;
}

/**
 * Encrypts answers so that neither the database nor the service can read them alone: the key is derived from the service's
 * secret and the client's idempotency key, of which only a hash is stored.
 */
export interface Seal {
  close(call: SealedCall, text: string): Buffer;
  /** Undefined when it was sealed with another secret, or for another call. */
  open(call: SealedCall, sealed: Buffer): string | undefined;
}

export function createSeal(secret: string): Seal {
  const keyOf = ({ key }: SealedCall) => Buffer.from(hkdfSync('sha256', secret, key, 'kohort idempotent answers', 32));
  const boundTo = ({ actor, requestHash }: SealedCall) => Buffer.concat([requestHash, Buffer.from(actor)]);
  return {
    close(call, text) {
      const nonce = randomBytes(NONCE);
      const cipher = createCipheriv(CIPHER, keyOf(call), nonce).setAAD(boundTo(call));
      const closed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), closed]);
    },
    open(call, sealed) {
      const decipher = createDecipheriv(CIPHER, keyOf(call), sealed.subarray(0, NONCE), { authTagLength: TAG })
        .setAAD(boundTo(call))
        .setAuthTag(sealed.subarray(NONCE, NONCE + TAG));
      try {
        return Buffer.concat([decipher.update(sealed.subarray(NONCE + TAG)), decipher.final()]).toString('utf8');
      } catch {
        return undefined;
      }
    },
  };
}
