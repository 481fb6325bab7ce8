import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { plainList } from '../../test/definitions.ts';
import type { Json, JsonObject } from './conditions/json.ts';
import { decideOne } from './decide.ts';
import { compileDefinition, type DefinitionSource } from './definition.ts';
import { definitionsOf } from './definitions.ts';
import { causeOfMoment, lookAheadOf, maxMoments, type TimedOverride, type TimedSubject } from './next-moment.ts';
import type { Mode } from './overrides.ts';
import { inOneGo } from './steps.ts';

const T = Date.parse('2026-11-26T12:00:00.000Z');
/** Everything happens within so many milliseconds, so that every one of them can be tried. */
const windowMs = 60;
const SEGMENTS = 4;

const compiled = (sources: readonly DefinitionSource[]) => definitionsOf(1, sources.map(compileDefinition));

/** What `decide` says at a moment: the rule that the look ahead has to foretell. */
function memberAt(sources: readonly DefinitionSource[], id: number, subject: TimedSubject, moment: number): boolean {
  const definitions = compiled(sources);
  const definition = definitions.byId.get(id);
  if (!definition) throw new Error(`no segment ${id}`);
  const standing = [...subject.overrides].filter(([, { expiresAt }]) => expiresAt > moment);
  const overrides = new Map(standing.map(([segment, { mode }]): [number, Mode] => [segment, mode]));
  return inOneGo(decideOne(definitions, definition, { ...subject, overrides }, moment)).member;
}

function outlook(sources: readonly DefinitionSource[], id: number, subject: TimedSubject, from = T) {
  const definitions = compiled(sources);
  const definition = definitions.byId.get(id);
  if (!definition) throw new Error(`no segment ${id}`);
  return inOneGo(lookAheadOf(definitions, definition)(subject, from));
}

const subjectOf = (attributes: JsonObject, overrides: [number, TimedOverride][] = []): TimedSubject => ({
  key: '1',
  attributes,
  overrides: new Map(overrides),
});

describe('the next moment', () => {
  const iso = (ms: number) => new Date(ms).toISOString();

  test.each<[what: string, fields: Partial<DefinitionSource>, attributes: JsonObject, next: number | null]>([
    ['is never for a rule without time', { condition: { a: 1 } }, { a: 1 }, null],
    ['is never for a fixed date', { condition: { a: { $after: '2026-11-27' } } }, { a: iso(T) }, null],
    // `$after: now-7d` holds while the attribute lies less than seven days back.
    ['is when seven days have passed', { condition: { a: { $after: 'now-7d' } } }, { a: iso(T) }, T + 7 * 86_400_000],
    ['is when a date is reached', { condition: { a: { $before: 'now' } } }, { a: '2026-11-27' }, T + 43_200_001],
    ['takes numbers', { condition: { a: { $before: 'now+1s' } } }, { a: T + 2_000.5 }, T + 1_001],
    ['takes arrays', { condition: { a: { $before: 'now' } } }, { a: ['x', T + 7, T + 5] }, T + 6],
    ['passes over dates that are gone', { condition: { a: { $before: 'now' } } }, { a: T - 1 }, null],
    [
      'passes over what makes no difference',
      { condition: { $or: [{ a: 1 }, { b: { $after: 'now' } }] } },
      { a: 1, b: T + 5 },
      null,
    ],
    ['takes a negation', { condition: { $nor: [{ a: { $after: 'now' } }] } }, { a: T + 5 }, T + 5],
    ['is the start', { active_from: new Date(T + 9), percentage: 100 }, {}, T + 9],
    ['is the end', { active_until: new Date(T + 9), percentage: 100 }, {}, T + 9],
    ['is no end of a segment without members', { active_until: new Date(T + 9), percentage: 0 }, {}, null],
    ['never lies past the year 9999', { condition: { a: { $after: 'now' } } }, { a: 1e300 }, null],
  ])('%s', (_, fields, attributes, next) => {
    expect(outlook([{ ...plainList, ...fields }], 1, subjectOf(attributes)).nextMoment).toBe(next);
  });

  test('is the expiry of an override that decides', () => {
    const include: TimedOverride = { mode: 'include', expiresAt: T + 4 };
    expect(outlook([plainList], 1, subjectOf({}, [[1, include]]))).toEqual({ member: true, nextMoment: T + 4 });
    const everybody = { ...plainList, percentage: 100 };
    expect(outlook([everybody], 1, subjectOf({}, [[1, include]]))).toEqual({ member: true, nextMoment: null });
    expect(outlook([plainList], 1, subjectOf({}, [[2, include]]))).toEqual({ member: false, nextMoment: null });
  });

  test('is that of a segment which the condition names', () => {
    const named = { ...plainList, id: 2, slug: 'B', active_until: new Date(T + 3) };
    const naming = { ...plainList, condition: { $inSegment: 2 } };
    const member = subjectOf({}, [[2, { mode: 'include', expiresAt: Number.POSITIVE_INFINITY }]]);
    expect(outlook([naming, named], 1, member)).toEqual({ member: true, nextMoment: T + 3 });
  });

  test('is found within a bound, else it is a moment to ask again at', () => {
    // In until the last of a hundred dates: at each of the first ones the next keeps the user in.
    const dates = Array.from({ length: 100 }, (_, i) => `b${i}`);
    const condition = { $or: dates.map((name): JsonObject => ({ [name]: { $after: 'now' } })) };
    const attributes = Object.fromEntries(dates.map((name, i) => [name, T + 1 + i]));
    const found = outlook([{ ...plainList, condition }], 1, subjectOf(attributes));
    expect(found).toEqual({ member: true, nextMoment: T + maxMoments });
  });
});

describe('the cause of a moment', () => {
  const date = new Date(T);
  const ramp = { from: 0, to: 100, starts_at: '2026-11-26T11:59:00Z', ends_at: '2026-11-26T12:00:00Z' };

  test.each<[cause: string, of: Partial<DefinitionSource>, subject: TimedSubject]>([
    ['start', { active_from: date }, subjectOf({})],
    ['end', { active_until: date }, subjectOf({})],
    ['expiry', {}, subjectOf({}, [[1, { mode: 'exclude', expiresAt: T }]])],
    // A key whose bucket lies in the first thousandth, which this ramp reaches as it ends.
    ['ramp', { ramp: { ...ramp, to: 0.001 } }, { ...subjectOf({}), key: '308214' }],
    ['attributes', { condition: { a: { $before: 'now' } } }, subjectOf({ a: T - 1 })],
  ])('%s', (cause, of, subject) => {
    for (const [id, condition] of [
      [1, of.condition ?? null],
      [2, { $inSegment: 1 }],
    ] as const) {
      const naming = { ...plainList, id: 2, slug: 'B', condition };
      const definitions = compiled(id === 1 ? [{ ...plainList, ...of }] : [{ ...plainList, ...of }, naming]);
      const definition = definitions.byId.get(id);
      if (!definition) throw new Error('no segment');
      expect(causeOfMoment(definitions, definition, subject, T)).toBe(cause);
    }
  });
});

const offset = fc.integer({ min: -5, max: windowMs + 5 });
const moment = offset.map((ms) => T + ms);
const seconds = fc.constantFrom(-3, 0, 2);
const relative = seconds.map((s) => (s === 0 ? 'now' : `now${s > 0 ? '+' : ''}${s}s`));

/** An attribute that one of the relative operands meets within the window: a text, a number, a fraction. */
const instant: fc.Arbitrary<Json> = fc
  .tuple(seconds, offset, fc.constantFrom('text', 'zone', 'number', 'fraction'))
  .map(([s, ms, form]) => {
    const at = T + s * 1_000 + ms;
    if (form === 'text') return new Date(at).toISOString();
    if (form === 'zone') return new Date(at + 3_600_000).toISOString().replace('Z', '+01:00');
    return form === 'number' ? at : at + 0.25;
  });
const names = ['a', 'b', 'c'] as const;
const value: fc.Arbitrary<Json> = fc.oneof(
  { weight: 5, arbitrary: instant },
  { weight: 2, arbitrary: fc.array(instant, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.array(instant, { minLength: 16, maxLength: 20 }) },
  { weight: 1, arbitrary: fc.array(fc.record({ a: instant }), { maxLength: 2 }) },
  { weight: 1, arbitrary: fc.constantFrom<Json[]>(null, 1, 'x', true) },
);
const attributes: fc.Arbitrary<JsonObject> = fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 3 });

/** Conditions of segment `id` name later ones only, so that there are no cycles. */
function condition(id: number, levels: number): fc.Arbitrary<JsonObject> {
  const path = fc.constantFrom<string[]>(...names, 'a.a', 'b.0', 'c.a');
  const test = fc.tuple(fc.constantFrom('$before', '$after'), relative).map(([op, to]): JsonObject => ({ [op]: to }));
  const field = fc.oneof(
    { weight: 6, arbitrary: test },
    { weight: 1, arbitrary: test.map(($not): JsonObject => ({ $not })) },
    { weight: 1, arbitrary: test.map(($elemMatch): JsonObject => ({ $elemMatch })) },
    { weight: 1, arbitrary: fc.boolean().map(($exists): JsonObject => ({ $exists })) },
  );
  const leaves: { weight: number; arbitrary: fc.Arbitrary<JsonObject> }[] = [
    { weight: 5, arbitrary: fc.dictionary(path, field, { minKeys: 1, maxKeys: 2 }) },
  ];
  if (id < SEGMENTS) {
    const named = fc.tuple(fc.constantFrom('$inSegment', '$notInSegment'), fc.integer({ min: id + 1, max: SEGMENTS }));
    leaves.push({ weight: 3, arbitrary: named.map(([op, segment]) => ({ [op]: segment })) });
  }
  if (levels > 0) {
    const parts = fc.array(condition(id, levels - 1), { minLength: 1, maxLength: 3 });
    const logic = fc.tuple(fc.constantFrom('$and', '$or', '$nor'), parts);
    leaves.push({ weight: 4, arbitrary: logic.map(([op, of]) => ({ [op]: of })) });
  }
  return fc.oneof(...leaves);
}

const percentage = fc.integer({ min: 0, max: 100_000 }).map((thousandths) => thousandths / 1_000);
const ramp = fc
  .tuple(percentage, percentage, offset, fc.integer({ min: 1, max: windowMs * 2 }))
  .map(([from, to, start, length]) => ({
    ramp: {
      from,
      to,
      starts_at: new Date(T + start).toISOString(),
      ends_at: new Date(T + start + length).toISOString(),
    },
  }));
const share: fc.Arbitrary<Partial<DefinitionSource>> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  { weight: 4, arbitrary: ramp },
  { weight: 1, arbitrary: percentage.map((found) => ({ percentage: found })) },
  { weight: 1, arbitrary: fc.constant({ layer: { salt: 'l', from: 20, to: 80 } }) },
);
const dates = fc.record({
  from: fc.option(moment, { freq: 3 }),
  length: fc.option(fc.integer({ min: 1, max: windowMs }), { freq: 3 }),
});

const sources: fc.Arbitrary<DefinitionSource[]> = fc.tuple(
  ...Array.from({ length: SEGMENTS }, (_, i) =>
    fc
      .record({
        share,
        condition: fc.option(condition(i + 1, 2), { freq: 4 }),
        dates,
        salt: fc.string({ minLength: 1, maxLength: 4 }),
        bucket_by: fc.option(fc.constantFrom('a', 'b.a'), { freq: 2, nil: null }).map((path) => path),
      })
      .map(({ share, condition, dates: { from, length }, salt, bucket_by }) => ({
        ...plainList,
        id: i + 1,
        slug: `S${i + 1}`,
        salt,
        ...share,
        bucket_by,
        condition,
        active_from: from === null ? null : new Date(from),
        active_until: length === null ? null : new Date((from ?? T) + length),
      })),
  ),
);

const override = fc.record({
  mode: fc.constantFrom<Mode[]>('include', 'exclude'),
  expiresAt: fc.oneof(moment, fc.constant(Number.POSITIVE_INFINITY)),
});
const subject: fc.Arbitrary<TimedSubject> = fc.record({
  key: fc.string({ minLength: 1, maxLength: 6 }),
  attributes,
  overrides: fc
    .array(fc.tuple(fc.integer({ min: 1, max: SEGMENTS }), override), { maxLength: 2 })
    .map((pairs) => new Map(pairs)),
});

/** Every moment of the window at which a user enters or leaves. */
function flips(of: readonly DefinitionSource[], id: number, one: TimedSubject): number[] {
  const found: number[] = [];
  let before = memberAt(of, id, one, T);
  for (let ms = 1; ms <= windowMs; ms++) {
    const now = memberAt(of, id, one, T + ms);
    if (now !== before) found.push(T + ms);
    before = now;
  }
  return found;
}

/** Follows one look ahead after the other, as the scheduler does. */
function foretold(
  of: readonly DefinitionSource[],
  id: number,
  one: TimedSubject,
): { moments: number[]; asked: number } {
  const moments: number[] = [];
  let asked = 0;
  let now = outlook(of, id, one);
  while (now.nextMoment !== null && now.nextMoment <= T + windowMs) {
    const then = outlook(of, id, one, now.nextMoment);
    asked += 1;
    if (then.member !== now.member) moments.push(now.nextMoment);
    if (then.nextMoment !== null && then.nextMoment <= now.nextMoment) throw new Error('time stands still');
    now = then;
  }
  return { moments, asked };
}

test('every moment at which a user enters or leaves is foretold, and hardly any other', () => {
  let [changes, asked] = [0, 0];
  fc.assert(
    fc.property(sources, subject, (of, one) => {
      const expected = flips(of, 1, one);
      const found = foretold(of, 1, one);
      expect(found.moments).toEqual(expected);
      changes += expected.length;
      asked += found.asked;
    }),
    { numRuns: 600 },
  );
  expect(changes).toBeGreaterThan(100);
  // Only where more moments than the bound make no difference is a moment returned at which nothing happens.
  expect(asked - changes).toBeLessThan(changes / 20);
});
