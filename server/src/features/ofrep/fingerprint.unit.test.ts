import { describe, expect, it } from 'vitest';
import { plainList } from '../../../test/definitions.ts';
import { Turns } from '../../concurrency/turns.ts';
import { compileDefinition, type DefinitionSource } from '../../segmentation/definition.ts';
import { definitionsOf } from '../../segmentation/definitions.ts';
import type { SeenUser } from '../memberships/memberships.ts';
import { type Fingerprint, fingerprintOf } from './fingerprint.ts';

const START = Date.parse('2026-11-26T12:00:00Z');
const at = (minutes: number) => new Date(START + minutes * 60_000);

const ann: SeenUser['user'] = { id: 2, external_id: 'ann', attributes: { trial: '2026-11-26' }, overrides: null };

/** The minutes, of twenty, after which the fingerprint is another one, each asked with the one before. */
async function changesOf(fields: Partial<DefinitionSource>, user: SeenUser['user'] = ann): Promise<number[]> {
  const definitions = definitionsOf(1, [compileDefinition({ ...plainList, ...fields })]);
  const changes: number[] = [];
  let before: Fingerprint | undefined;
  for (let minute = 0; minute < 20; minute++) {
    const seen = { user, definitions, now: START + minute * 60_000 };
    const next = await fingerprintOf('ann', seen, before, new Turns());
    expect((await fingerprintOf('ann', seen, undefined, new Turns())).text).toBe(next.text);
    if (before && next.text !== before.text) changes.push(minute);
    before = next;
  }
  return changes;
}

describe('the fingerprint of a user changes by time', () => {
  it('at a start and at an end, also of a segment whose condition the stored attributes do not meet', async () => {
    const times = { active_from: at(3), active_until: at(7) };
    expect(await changesOf({ percentage: 100, ...times })).toEqual([3, 7]);
    expect(await changesOf({ condition: { country: 'NL' }, ...times })).toEqual([3, 7]);
    expect(await changesOf({ percentage: 100, ...times }, undefined)).toEqual([3, 7]);
  });

  it('once in a ramp, when it reaches the user', async () => {
    const ramp = { from: 0, to: 100, starts_at: at(2).toISOString(), ends_at: at(18).toISOString() };
    const changes = await changesOf({ ramp });
    expect(changes).toHaveLength(1);
    expect(await changesOf({ ramp, condition: { country: 'NL' } })).toEqual(changes);
  });

  it('when a relative time passes an attribute', async () => {
    expect(await changesOf({ condition: { trial: { $before: 'now-725m' } } })).toEqual([6]);
  });

  it('never otherwise', async () => {
    expect(await changesOf({})).toEqual([]);
    expect(await changesOf({ percentage: 50, condition: { country: 'NL' } })).toEqual([]);
    expect(await changesOf({ percentage: 100, active_from: at(-5) })).toEqual([]);
  });
});

it('is computed anew only when its moment has come, or something else has changed', async () => {
  const definitions = definitionsOf(1, [compileDefinition({ ...plainList, percentage: 100, active_from: at(5) })]);
  const ask = (before: Fingerprint | undefined, seen: Partial<SeenUser>) =>
    fingerprintOf('ann', { user: ann, definitions, now: START, ...seen }, before, new Turns());
  const first = await ask(undefined, {});
  expect(first.holdsUntil).toBe(at(5).getTime());
  expect(await ask(first, { now: START + 1 })).toBe(first);
  expect((await ask(first, { user: { ...ann, overrides: '1:i:0:' } })).text).not.toBe(first.text);
  expect((await ask(first, { definitions: { ...definitions, revision: 2 } })).text).not.toBe(first.text);
});
