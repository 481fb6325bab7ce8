import { describe, expect, it } from 'vitest';
import { changesOf, draftOf, errorsOf, localOf, ruleOf } from './draft.ts';

const none = {
  percentage: null,
  condition: null,
  ramp: null,
  layer: null,
  bucket_by: null,
  active_from: null,
  active_until: null,
};

describe('a draft', () => {
  it.each([
    {},
    { percentage: 12.5 },
    { condition: { country: 'NL' } },
    { percentage: 30, condition: { a: { $future: 1 } }, bucket_by: 'company.id' },
    { condition: {} },
    { layer: { slug: 'L', from: 10, to: 20.5 } },
    { ramp: { from: 0, to: 50, starts_at: '2026-12-01T10:00:30.123Z', ends_at: '2026-12-08T10:00:00.000Z' } },
    { active_from: '2026-12-01T10:00:59.999Z', active_until: '2027-01-01T00:00:00.000Z' },
  ])('that is not edited is the rule it was made from: %j', (rule) => {
    const before = { ...none, ...rule };
    const draft = draftOf(before);
    expect(errorsOf(draft)).toEqual({});
    expect(ruleOf(draft, before)).toEqual(before);
    expect(changesOf(ruleOf(draft, before), before)).toEqual({});
  });

  it('is not changed by the order in which a database has the names', () => {
    const before = {
      ...none,
      ramp: { to: 5, from: 0, ends_at: '2026-12-08T10:00:00.000Z', starts_at: '2026-12-01T10:00:00.000Z' },
    };
    expect(changesOf(ruleOf(draftOf(before), before), before)).toEqual({});
    expect(changesOf({ condition: { a: [{ b: 1, c: 2 }] } }, { condition: { a: [{ c: 2, b: 1 }] } })).toEqual({});
    expect(changesOf({ condition: { a: [1, 2] } }, { condition: { a: [2, 1] } })).toEqual({ condition: { a: [1, 2] } });
  });

  it('says what is wrong with it, by field', () => {
    expect(errorsOf({ ...draftOf({ percentage: 1 }), percentage: '101' })).toEqual({ percentage: 'error.share' });
    expect(errorsOf({ ...draftOf({ percentage: 1 }), percentage: '0.1234' })).toEqual({ percentage: 'error.share' });
    const layer = { ...draftOf({ layer: { slug: 'L', from: 10, to: 20 } }), to: '10' };
    expect(errorsOf(layer)).toEqual({ to: 'error.range' });
    const times = { ...draftOf({}), isRule: true, activeFrom: '2026-12-02T10:00', activeUntil: '2026-12-01T10:00' };
    expect(errorsOf(times)).toEqual({ activeUntil: 'error.order' });
  });

  it('takes a decimal comma', () => {
    expect(ruleOf({ ...draftOf({ percentage: 1 }), percentage: '12,5' }).percentage).toBe(12.5);
  });

  it('shows an instant in the zone of who looks at it', () => {
    expect(new Date(localOf('2026-12-01T10:00:00.000Z')).toISOString()).toBe('2026-12-01T10:00:00.000Z');
  });
});
