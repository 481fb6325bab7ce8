interface Rule {
  readonly slug: string;
  readonly percentage?: number;
  readonly condition?: object;
}

const COUNTRIES = ['AR', 'BR', 'CZ', 'DE', 'EE', 'ES', 'FR', 'GE', 'IN', 'KZ', 'PL', 'RS', 'TR', 'US', 'UZ', 'VN'];
const CITIES = ['north', 'south', 'east', 'west', 'centre'];

/** The kinds of conditions that marketing and release engineers write. The operands depend on `i`. */
const KINDS: readonly ((i: number) => object)[] = [
  (i) => ({ country: COUNTRIES[i % 16], age: { $gte: 20 + i } }),
  (i) => ({ plan: { $in: ['pro', 'team'] }, orders: { $gt: i % 35 } }),
  (i) => ({ app: { $vgte: `4.${20 + (i % 8)}.0` }, tags: 'android' }),
  (i) => ({ 'address.city': CITIES[i % 5], plan: { $ne: 'free' } }),
  (i) => ({ $or: [{ tags: 'vip' }, { $and: [{ orders: { $gte: 30 } }, { country: COUNTRIES[i % 16] }] }] }),
  (i) => ({ $nor: [{ plan: 'free' }, { age: { $lt: 40 } }], country: { $nin: COUNTRIES.slice(0, i % 12) } }),
  (i) => ({ email: { $regex: `^user-${i % 10}.*@example\\.org$` } }),
  (i) => ({ tags: { $all: ['beta', 'ios'] }, 'address.zip': { $lt: 1_000 * (20 + i) } }),
  (i) => ({ orders: { $exists: true, $lt: 5 }, referrer: null, age: { $not: { $gt: 20 + i } } }),
  (i) => ({ $inSegment: `SEGMENT_${1 + i}`, plan: 'plus' }),
];

/** 50 segments by percentage, from 2 to 20 percent, and 50 by condition: a user is in about ten of them. */
export function ruleDefinitions(): readonly Rule[] {
  const fifty = Array.from({ length: 50 }, (_, i) => i);
  return [
    ...fifty.map((i) => ({ slug: `ROLLOUT_${i}`, percentage: 2 * (1 + (i % 10)) })),
    ...fifty.map((i) => ({ slug: `AUDIENCE_${i}`, condition: KINDS[i % KINDS.length]?.(i) ?? {} })),
  ];
}
