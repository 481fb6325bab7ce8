import fc from 'fast-check';

/** A layer that the world has. */
export const knownLayer = 'Layer1';

/** Operands that a condition on one field may have, and ones that it may not, by operator. */
interface Operands {
  readonly right: readonly unknown[];
  readonly wrong: readonly unknown[];
}

const instants: Operands = {
  right: [
    ...[
      '2026-11-26T08:00:00Z',
      '2026-11-26t08:00:00.123456+05:30',
      '0000-02-29T00:00:00-23:59',
      '9999-12-31T23:59:59Z',
    ],
    ...['2026-11-26', '2024-02-29', 'now', 'now-7d', 'now+90m', 'now-0s', 'now-2w', 'now+1h'],
  ],
  wrong: [
    ...['2026-11-26T08:00:00', '2026-02-30', '2026-02-29T00:00:00Z', '2026-11-26T24:00:00Z', '2026-11-26 08:00:00Z'],
    ...[
      'now-7',
      'now-7y',
      'now-',
      'now -7d',
      'NOW',
      'yesterday',
      'now-999999999w',
      '',
      1764144000000,
      null,
      ['now'],
      {},
    ],
  ],
};

const listsInAnyCase: Operands = {
  right: [[], ['Acme', 'ÜBER', 'ß'], [1, null, true, 'a']],
  wrong: ['Acme', null, {}, [['a']], [{ a: 1 }], ['a\0b'], Array(1001).fill('x')],
};

const operands: Readonly<Record<string, Operands>> = {
  $before: instants,
  $after: instants,
  $type: {
    right: ['string', 'int', ['number', 'null'], ['bool', 'object', 'array', 'double'], ['int', 'int']],
    wrong: ['text', 'String', 2, [], ['string', 'date'], null, {}, ['string', 2]],
  },
  $mod: {
    right: [
      [4, 0],
      [-3, 1],
      [1, -1],
      [Number.MAX_SAFE_INTEGER, 5],
    ],
    wrong: [[0, 1], [4], [4, 0, 0], [4.5, 0], ['4', 0], [2 ** 53, 0], 4, {}, [null, 0]],
  },
  $ini: listsInAnyCase,
  $nini: listsInAnyCase,
  $alli: listsInAnyCase,
};

const path = fc.constantFrom('a', 'plan', 'orders.at', 'list.0.b', 'größe');

/** A condition with one operator, on a field, denied, or asked of the elements of a list. */
function conditionOf(kind: keyof Operands): fc.Arbitrary<object> {
  const test = fc
    .constantFrom(...Object.entries(operands))
    .chain(([operator, found]) => fc.constantFrom(...found[kind]).map((operand) => ({ [operator]: operand })));
  // An operator with $not around it, or in $elemMatch, is read by another branch of the parser.
  const inside = fc.oneof(
    test,
    test.map((one) => ({ $not: one })),
    test.map((one) => ({ $elemMatch: one })),
  );
  const field = fc.tuple(path, inside).map(([name, one]) => ({ [name]: one }));
  return fc.oneof(
    field,
    field.map((one) => ({ $or: [{ plan: 'pro' }, one] })),
  );
}

const times = [
  '1970-01-01T00:00:00Z',
  '2026-11-23T08:00:00.000Z',
  '2026-11-23T13:30:00.001+05:30',
  '9999-12-31T23:59:59Z',
];
const percentage = fc.integer({ min: 0, max: 100_000 }).map((thousandths) => thousandths / 1000);
/** Two different indexes in order. */
const twoOf = (count: number) =>
  fc
    .uniqueArray(fc.nat({ max: count - 1 }), { minLength: 2, maxLength: 2 })
    .map((two) => two.toSorted((a, b) => a - b));

const ramp = fc.tuple(percentage, percentage, twoOf(times.length)).map(([from, to, [start = 0, end = 1]]) => ({
  ramp: { from, to, starts_at: times[start], ends_at: times[end] },
}));
const layer = twoOf(100_001).map(([from = 0, to = 1]) => ({
  layer: { slug: knownLayer, from: from / 1000, to: to / 1000 },
}));
const active = twoOf(times.length).map(([start = 0, end = 1]) => ({
  active_from: times[start],
  active_until: times[end],
}));
const bucketBy = fc.constantFrom('company.id', 'a', 'größe.ü', '0').map((name) => ({ bucket_by: name }));

const maybe = (part: fc.Arbitrary<object>) => fc.oneof(fc.constant({}), part);

/** Every field of a rule, so that what the segment had before is out of the way. */
const none = {
  percentage: null,
  condition: null,
  bucket_by: null,
  ramp: null,
  layer: null,
  active_from: null,
  active_until: null,
};

/** Conditions, right and wrong alike. */
export const anyCondition = fc.oneof(conditionOf('right'), conditionOf('wrong'));

/** A rule that is right. */
export const rightRule: fc.Arbitrary<object> = fc
  .tuple(
    fc.oneof(
      fc.constant({}),
      percentage.map((one) => ({ percentage: one })),
      ramp,
      layer,
    ),
    maybe(bucketBy),
    maybe(active),
    maybe(conditionOf('right').map((condition) => ({ condition }))),
  )
  .map((parts) => Object.assign({ ...none }, ...parts));

const rampOf = { from: 0, to: 100, starts_at: times[0], ends_at: times[3] };
const wrongFields: readonly object[] = [
  { ramp: rampOf, percentage: 50 },
  { ramp: { ...rampOf, ends_at: times[0] } },
  { ramp: { ...rampOf, starts_at: '2026-02-30T00:00:00Z' } },
  { ramp: { ...rampOf, to: 100.001 } },
  { ramp: { ...rampOf, from: 0.0001 } },
  { ramp: { ...rampOf, starts_at: 'now' } },
  { ramp: { from: 0, to: 100 } },
  { layer: { slug: knownLayer, from: 0, to: 10 }, percentage: 5 },
  { layer: { slug: knownLayer, from: 0, to: 10 }, ramp: rampOf },
  { layer: { slug: knownLayer, from: 10, to: 10 } },
  { layer: { slug: knownLayer, from: 0, to: 10.0001 } },
  { layer: { slug: 'no.such.layer', from: 0, to: 10 } },
  { layer: knownLayer },
  { bucket_by: '' },
  { bucket_by: 'a..b' },
  { bucket_by: '.a' },
  { bucket_by: '$a' },
  { bucket_by: 'a.__proto__' },
  { active_from: times[1], active_until: times[1] },
  { active_from: times[2], active_until: times[0] },
  { active_until: '2026-02-30T00:00:00Z' },
  { active_from: 'now' },
  { active_from: '2026-11-26' },
];

/** A rule with one thing wrong. */
export const wrongRule: fc.Arbitrary<object> = fc
  .oneof(
    fc.constantFrom(...wrongFields),
    conditionOf('wrong').map((condition) => ({ condition })),
  )
  .map((wrong) => ({ ...none, ...wrong }));
