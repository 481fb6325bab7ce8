import { createHmac, timingSafeEqual } from 'node:crypto';
import { isObject } from '@kohort/contract';

/** The user of a stream, and the credential. */
export interface StreamLink {
  readonly targetingKey: string;
  readonly keyId: number | undefined;
  readonly sessionId: string | undefined;
}

export interface StreamLinks {
  /** Returns the same text for the same link within one hour of the clock. */
  sign(link: StreamLink, nowMs: number): string;
  /** Undefined if the text is not a valid link or has expired after two hours. */
  open(text: string, nowMs: number): StreamLink | undefined;
}

const macBytes = 32;
const hourMs = 3_600_000;
/** An address stays valid at least until the next one is announced. */
const validHours = 2;

/** `EventSource` sends no headers, so the address of a stream is a credential: signed, and valid for two hours at most. */
export function createStreamLinks(secret: string): StreamLinks {
  const key = createHmac('sha256', secret).update('kohort flag streams').digest();
  const mac = (payload: Buffer) => createHmac('sha256', key).update(payload).digest();

  return {
    sign({ targetingKey, keyId, sessionId }, nowMs) {
      const hour = Math.floor(nowMs / hourMs);
      const payload = Buffer.from(JSON.stringify({ h: hour, t: targetingKey, k: keyId, s: sessionId }));
      return Buffer.concat([mac(payload), payload]).toString('base64url');
    },

    open(text, nowMs) {
      const bytes = Buffer.from(text, 'base64url');
      const payload = bytes.subarray(macBytes);
      if (bytes.length <= macBytes || bytes.toString('base64url') !== text) return undefined;
      if (!timingSafeEqual(bytes.subarray(0, macBytes), mac(payload))) return undefined;
      const signed: unknown = JSON.parse(payload.toString('utf8'));
      if (!isObject(signed) || typeof signed.t !== 'string') return undefined;
      if (Number(signed.h) + validHours <= nowMs / hourMs) return undefined;
      return {
        targetingKey: signed.t,
        keyId: typeof signed.k === 'number' ? signed.k : undefined,
        sessionId: typeof signed.s === 'string' ? signed.s : undefined,
      };
    },
  };
}
