import { deriveKey, openText, sealText } from '../../sealing/seal.ts';

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
  /** Undefined if it was sealed with another secret, or for another call. */
  open(call: SealedCall, sealed: Buffer): string | undefined;
}

export function createSeal(secret: string): Seal {
  const keyOf = ({ key }: SealedCall) => deriveKey(secret, 'kohort idempotent answers', key);
  const boundTo = ({ actor, requestHash }: SealedCall) => Buffer.concat([requestHash, Buffer.from(actor)]);
  return {
    close: (call, text) => sealText(keyOf(call), boundTo(call), text),
    open: (call, sealed) => openText(keyOf(call), boundTo(call), sealed),
  };
}
