/** A percentage that moves from one value to another between two moments; percentages in thousandths, moments in milliseconds. */
export interface Ramp {
  readonly from: number;
  readonly to: number;
  readonly startsAt: number;
  readonly endsAt: number;
}

/** Which buckets a segment takes, and by which salt they are computed. */
export type Share =
  | { readonly kind: 'percentage'; readonly salt: string; readonly percentage: number }
  | { readonly kind: 'ramp'; readonly salt: string; readonly ramp: Ramp }
  | { readonly kind: 'layer'; readonly salt: string; readonly from: number; readonly to: number };

/** `floor(a * b / c)` of whole numbers, exact also where a double cannot hold the product. */
function floorOfProduct(a: number, b: number, c: number): number {
  const product = a * b;
  if (Number.isSafeInteger(product)) return Math.floor(product / c);
  const [numerator, denominator] = [BigInt(a) * BigInt(b), BigInt(c)];
  // BigInt divides towards zero.
  const quotient = numerator / denominator;
  return Number(numerator < 0n && quotient * denominator !== numerator ? quotient - 1n : quotient);
}

/** In thousandths of a per cent: `from` until it starts, `to` from its end on, linear between and rounded down. */
export function rampAt({ from, to, startsAt, endsAt }: Ramp, now: number): number {
  if (now < startsAt) return from;
  if (now >= endsAt) return to;
  return from + floorOfProduct(to - from, now - startsAt, endsAt - startsAt);
}

/**
 * The moment at which a ramp lets a bucket in, or out where it falls; infinite where it never does. A ramp passes each bucket
 * once at most, so what was decided about a user holds until then, however often the percentage changes before.
 */
export function rampReaches({ from, to, startsAt, endsAt }: Ramp, ofBucket: number): number {
  // In while the percentage is at least this. A bucket times 1,000 is exact in a double: it has 49 bits.
  const needed = Math.floor(ofBucket * 1_000) + 1;
  if (from >= needed === to >= needed) return Number.POSITIVE_INFINITY;
  const duration = endsAt - startsAt;
  const after =
    from < to
      ? -floorOfProduct(from - needed, duration, to - from) // rounded up: the first moment that is enough
      : floorOfProduct(from - needed, duration, from - to) + 1;
  return Math.min(startsAt + after, endsAt);
}

/** The percentage of a share at a moment; null for a range of a layer, which has none of its own. */
export function percentageAt(share: Share, now: number): number | null {
  switch (share.kind) {
    case 'percentage':
      return share.percentage;
    case 'ramp':
      return rampAt(share.ramp, now) / 1_000;
    case 'layer':
      return null;
  }
}

/** Whether a share takes a bucket at a moment. */
export function takesBucket(share: Share, ofBucket: number, now: number): boolean {
  if (share.kind === 'layer') return ofBucket >= share.from && ofBucket < share.to;
  return ofBucket < (percentageAt(share, now) ?? 0);
}

/** The moment at which a share changes its mind about a bucket. */
export function changesMindAt(share: Share, ofBucket: number): number {
  return share.kind === 'ramp' ? rampReaches(share.ramp, ofBucket) : Number.POSITIVE_INFINITY;
}
