import { createHmac, timingSafeEqual } from 'node:crypto';
import { isObject } from '@kohort/contract';

/** The range of a report. A user is named by id, so that a link does not identify them. */
export interface ReportScope {
  readonly from: Date;
  /** Exclusive. */
  readonly to: Date;
  readonly userId: number | undefined;
  /** The slug that a segment has, or had when it was deleted. */
  readonly segment: string | undefined;
  /** The key that asked for it, if it has tags: segments that it does not see are left out. */
  readonly keyId: number | undefined;
}

export interface ReportLinks {
  sign(scope: ReportScope, expiresAt: Date): string;
  /** Undefined if the text is not a valid link or has expired. */
  open(link: string, now: Date): ReportScope | undefined;
}

const MAC_BYTES = 32;

/** A link is a credential: it contains its range and expiry, signed. Nothing is stored for it. */
export function createReportLinks(secret: string): ReportLinks {
  const key = createHmac('sha256', secret).update('kohort reports').digest();
  const mac = (payload: Buffer) => createHmac('sha256', key).update(payload).digest();

  return {
    sign({ from, to, userId, segment, keyId }, expiresAt) {
      const payload = Buffer.from(
        JSON.stringify({
          x: expiresAt.getTime(),
          f: from.getTime(),
          t: to.getTime(),
          u: userId,
          s: segment,
          k: keyId,
        }),
      );
      return Buffer.concat([mac(payload), payload]).toString('base64url');
    },

    open(link, now) {
      const bytes = Buffer.from(link, 'base64url');
      const payload = bytes.subarray(MAC_BYTES);
      if (bytes.length <= MAC_BYTES || bytes.toString('base64url') !== link) return undefined;
      if (!timingSafeEqual(bytes.subarray(0, MAC_BYTES), mac(payload))) return undefined;
      const signed: unknown = JSON.parse(payload.toString('utf8'));
      if (!isObject(signed) || Number(signed.x) <= now.getTime()) return undefined;
      return {
        from: new Date(Number(signed.f)),
        to: new Date(Number(signed.t)),
        userId: typeof signed.u === 'number' ? signed.u : undefined,
        segment: typeof signed.s === 'string' ? signed.s : undefined,
        keyId: typeof signed.k === 'number' ? signed.k : undefined,
      };
    },
  };
}
