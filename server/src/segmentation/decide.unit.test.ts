import { expect, test } from 'vitest';
import { plainList } from '../../test/definitions.ts';
import { bucket } from './bucket.ts';
import { decideAll, decideOne, lastingDeciderOf } from './decide.ts';
import { compileDefinition, type DefinitionSource } from './definition.ts';
import { definitionsOf } from './definitions.ts';
import type { Mode } from './overrides.ts';
import { inOneGo } from './steps.ts';
import type { Subject } from './subject.ts';

const subjectWith = (attributes: Subject['attributes']): Subject => ({ key: '1', attributes, overrides: new Map() });

const NOW = Date.parse('2026-11-26T12:00:00Z');

const segment = (fields: Partial<DefinitionSource>) => compileDefinition({ ...plainList, ...fields });

function stepsOf(subject: Subject, patterns: readonly string[]): number {
  const condition = { $or: patterns.map(($regex) => ({ k: { $regex } })) };
  const definition = segment({ condition });
  const steps = decideAll(definitionsOf(1, [definition]), subject, NOW);
  let count = 0;
  while (!steps.next().done) count += 1;
  return count;
}

test('many patterns over long texts are a step each, so that others have their turn', () => {
  const patterns = Array.from({ length: 40 }, (_, i) => `[ab].{20}c${i}`);
  expect(stepsOf(subjectWith({ k: 'ab'.repeat(8_000) }), patterns)).toBe(40);
  expect(stepsOf(subjectWith({ k: 'ab' }), patterns)).toBe(0);
});

test('what was matched ahead decides', () => {
  const condition = { $or: Array.from({ length: 40 }, (_, i) => ({ k: { $regex: `[ab].{20}c${i}$` } })) };
  const definition = segment({ condition });
  const definitions = definitionsOf(1, [definition]);
  const decided = (k: string) => inOneGo(decideAll(definitions, subjectWith({ k }), NOW)).memberships.length;
  expect(decided(`${'ab'.repeat(8_000)}c39`)).toBe(1);
  expect(decided(`${'ab'.repeat(8_000)}c40`)).toBe(0);
});

test('buckets that are computed together are those that are computed alone', () => {
  const shares = Array.from({ length: 300 }, (_, i): Partial<DefinitionSource> => {
    const salt = (i % 250).toString(16).padStart(32, 'f');
    if (i % 10 === 0) return { percentage: 50, salt: 'short' };
    if (i % 10 === 1) return { percentage: 50, salt, bucket_by: 'company' };
    if (i % 10 === 2) return { percentage: 50, salt, condition: { company: 'x' } };
    if (i % 10 === 3) return { layer: { salt: '0'.repeat(32), from: i / 4, to: i / 2 } };
    return { percentage: (i * 7) % 100, salt };
  });
  const all = definitionsOf(
    1,
    shares.map((share, i) => segment({ id: i + 1, slug: `S${i}`, ...share })),
  );
  expect(all.shares?.placeOf.size).toBe(210);
  for (const key of ['1', 'customer-7', 'é', 'k'.repeat(250), '9f86d081-884c-4d65-9a2f-eaa0c55ad015']) {
    const subject = { ...subjectWith({ company: 'x' }), key };
    const together = inOneGo(decideAll(all, subject, NOW)).memberships.map(({ definition }) => definition.id);
    const alone = all.dynamic.filter((one) => inOneGo(decideOne(all, one, subject, NOW)).member).map(({ id }) => id);
    expect(together.toSorted()).toEqual(alone.toSorted());
    expect(together.length).toBeGreaterThan(20);
  }
});

const saltOf = (i: number) => i.toString(16).padStart(32, 'f');
const [past, future] = [new Date(NOW - 1), new Date(NOW + 1)];
const ramp = { from: 0, to: 100, starts_at: '2026-11-26T11:00:00Z', ends_at: '2026-11-26T13:00:00Z' };

/** Of the user 1 in a segment whose ramp has not come so far. */
const rampSalt = Array.from({ length: 100 }, (_, i) => saltOf(1_000 + i)).find((salt) => bucket(salt, '1') > 60) ?? '';
const rampBucket = bucket(rampSalt, '1');

/** Every kind of rule, at every time of its life; every other one is named by a later one. */
function manyRules(): Partial<DefinitionSource>[] {
  const conditions = [{ plan: 'pro' }, { plan: { $ne: 'pro' } }, { mail: { $regex: '^a.*c$' } }];
  const rules: Partial<DefinitionSource>[] = [
    { percentage: 50 },
    { ramp },
    { layer: { salt: saltOf(0), from: 20, to: 70 } },
    { percentage: 50, bucket_by: 'plan' },
    ...conditions.flatMap((condition) => [{ condition }, { condition, percentage: 50 }, { condition, ramp }]),
  ];
  const lives = [
    { active_from: null, active_until: null },
    { active_from: past, active_until: future },
    { active_from: future, active_until: null },
    { active_from: null, active_until: past },
  ];
  const each = lives.flatMap((life) => rules.map((rule) => ({ ...rule, ...life })));
  return [...each, ...each.map((rule, i) => ({ ...rule, condition: { $inSegment: i + 1 } }))];
}

/** Of each third rule, from this one on. */
const overridesFrom = (first: number, modes: readonly Mode[]): ReadonlyMap<number, Mode> =>
  new Map(Array.from({ length: 35 }, (_, i) => [first + 3 * i, modes[i % modes.length] ?? 'include']));

test.each<[string, ReadonlyMap<number, Mode>]>([
  ['no overrides', new Map()],
  ['overrides of lists alone', overridesFrom(1_001, ['include', 'exclude'])],
  ['overrides of rules', overridesFrom(1, ['include', 'exclude'])],
  ['others of rules', overridesFrom(1, ['exclude', 'include'])],
  ['overrides of other rules', overridesFrom(3, ['exclude', 'include'])],
])('all together are decided as one by one, with %s', (_, overrides) => {
  const rules = manyRules().map((rule, i) => segment({ id: i + 1, slug: `S${i}`, salt: saltOf(i), ...rule }));
  const lists = [1_001, 1_004].map((id) => segment({ id, slug: `L${id}` }));
  const each = [...rules, ...lists];
  const all = definitionsOf(1, each);
  expect(all.shares?.fixed.length).toBe(2);
  for (const key of ['1', '2', '3', 'customer-7', 'é']) {
    for (const attributes of [
      { plan: 'pro', mail: 'abc' },
      { plan: 'free', mail: 'b' },
    ]) {
      const subject = { key, attributes, overrides };
      const { memberships, holdsUntil } = inOneGo(decideAll(all, subject, NOW));
      const together = memberships.map(({ definition: { id }, source }) => ({ id, source }));
      const alone = each.flatMap((one) => {
        const { member, source } = inOneGo(decideOne(all, one, subject, NOW));
        return member ? { id: one.id, source } : [];
      });
      expect(together.toSorted((a, b) => a.id - b.id)).toEqual(alone);
      expect(together.length).toBeGreaterThan(10);
      expect(holdsUntil).toBe(future.getTime());
    }
  }
});

const inHours = (hours: number) => new Date(NOW + hours * 3_600_000);

test.each<[string, Partial<DefinitionSource>, Date]>([
  ['a start', { percentage: 100, active_from: inHours(1) }, inHours(1)],
  ['an end', { condition: { plan: 'pro' }, active_until: inHours(2) }, inHours(2)],
  ['the moment at which a ramp takes the bucket', { ramp: { ...ramp, from: 0 } }, inHours((2 * rampBucket) / 100 - 1)],
])('a decision holds until %s', (_, rule, until) => {
  const one = segment({ salt: rampSalt, ...rule });
  const many = Array.from({ length: 10 }, (_, i) =>
    segment({ id: i + 2, slug: `S${i}`, salt: saltOf(i), percentage: 50 }),
  );
  for (const all of [definitionsOf(1, [one]), definitionsOf(1, [one, ...many])]) {
    const subject = subjectWith({ plan: 'pro' });
    const { holdsUntil } = inOneGo(decideAll(all, subject, NOW));
    // A ramp moves in thousandths of a percent, this one every 72 ms.
    expect(Math.abs(holdsUntil - until.getTime())).toBeLessThan(72);
    expect(holdsUntil).toBe(inOneGo(lastingDeciderOf(all, one)(subject, NOW)).holdsUntil);
  }
});

test('attributes are looked at only where a condition may be', () => {
  const percentages = definitionsOf(1, [segment({ percentage: 100, salt: 's' })]);
  const attributes = new Proxy(
    {},
    {
      ownKeys: () => {
        throw new Error('looked at');
      },
    },
  );
  expect(inOneGo(decideAll(percentages, subjectWith(attributes), NOW)).memberships).toHaveLength(1);
});

test('a range of a layer takes its first bucket and not its last', () => {
  const ofBucket = bucket(saltOf(0), '1');
  const layers = [
    { from: ofBucket, to: 100 },
    { from: 0, to: ofBucket },
  ];
  const fixed = Array.from({ length: 8 }, (_, i) =>
    segment({ id: i + 3, slug: `P${i}`, salt: saltOf(i + 1), percentage: 0 }),
  );
  const ranges = layers.map((range, i) => segment({ id: i + 1, slug: `R${i}`, layer: { salt: saltOf(0), ...range } }));
  const all = definitionsOf(1, [...ranges, ...fixed]);
  expect(all.shares?.fixed.length).toBe(10);
  const { memberships } = inOneGo(decideAll(all, subjectWith({}), NOW));
  expect(memberships.map(({ definition }) => definition.slug)).toEqual(['R0']);
});

test('users who are decided about by turns keep their buckets', () => {
  const ramps = Array.from({ length: 200 }, (_, i) =>
    segment({ id: i + 1, slug: `S${i}`, salt: i.toString(16).padStart(32, 'f'), ramp }),
  );
  const all = definitionsOf(1, ramps);
  const begin = (key: string) => decideAll(all, { ...subjectWith({}), key }, NOW);
  const idsOf = (steps: ReturnType<typeof begin>) => inOneGo(steps).memberships.map(({ definition }) => definition.id);
  const [first, second] = [begin('1'), begin('2')];
  for (const steps of [first, second, first]) expect(steps.next().done).toBe(false);
  expect(idsOf(first)).toEqual(idsOf(begin('1')));
  expect(idsOf(second)).toEqual(idsOf(begin('2')));
});

test.each<[string, Partial<DefinitionSource>, Subject['attributes'], number]>([
  ['conditions are steps by the number of their nodes', { condition: { k: 'a', l: 'b' } }, {}, 5],
  ['a node inside $elemMatch weighs more', { condition: { k: { $elemMatch: { $gt: 1, $lt: 3 } } } }, {}, 83],
  [
    'patterns weigh by their size and the text',
    { condition: { k: { $regex: '[ab].{20}c' } } },
    { k: 'a'.repeat(1_900) },
    99,
  ],
  ['a condition on large attributes is a step', { condition: { l: 'b' } }, { k: 'a'.repeat(2_000) }, 499],
  ['shares are steps by 64', { percentage: 50 }, {}, 7],
])('%s', (_, rule, attributes, expected) => {
  const definitions = Array.from({ length: 500 }, (_, i) =>
    segment({ id: i + 1, slug: `S${i}`, salt: `salt ${i}`, ...rule }),
  );
  let count = 0;
  const steps = decideAll(definitionsOf(1, definitions), subjectWith(attributes), NOW);
  while (!steps.next().done) count += 1;
  expect(count).toBe(expected);
});
