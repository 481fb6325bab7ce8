import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Service, startService } from '../../../test/service.ts';

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
});
afterAll(() => service.stop());

const apply = (body: object) => client.call('POST', '/api/definitions/apply', body);

let run = 0;
/** Slugs of their own for each test. */
let [A, B, C] = ['', '', ''];
beforeEach(() => {
  run += 1;
  [A, B, C] = [`A${run}`, `B${run}`, `C${run}`];
});

it('creates, replaces and deletes, and answers the versions', async () => {
  await client.segment(A, { description: 'old', tags: ['x'], percentage: 5 });
  await client.segment(B);
  const answer = await apply({
    segments: [
      { slug: A, version: 1, percentage: 10 },
      { slug: C, version: null, condition: { country: 'NL' } },
    ],
    delete: [{ slug: B, version: 1 }],
  });
  expect([answer.status, answer.body]).toEqual([200, { versions: { [A]: 2, [C]: 1 } }]);
  // A whole definition: what is absent is cleared.
  expect(await client.get(`/api/segments/${A}`)).toMatchObject({ description: null, tags: [], percentage: 10 });
  expect((await client.call('GET', `/api/segments/${B}`)).status).toBe(404);
  const [event] = await client.all(`/api/segments/${A}/history`, 'events');
  expect(event).toMatchObject({ action: 'update', actor: 'user:1' });
});

it('leaves alone what is as named', async () => {
  await client.segment(A, { percentage: 5 });
  expect((await apply({ segments: [{ slug: A, version: 1, percentage: 5 }] })).body).toEqual({ versions: { [A]: 1 } });
});

it('takes names and cycles in any order', async () => {
  await client.segment(A, {});
  await client.segment(B, { condition: { $inSegment: A } });
  // Turned around, with one that is new.
  const answer = await apply({
    segments: [
      { slug: A, version: 1, condition: { $and: [{ $inSegment: B }, { $notInSegment: C }] } },
      { slug: B, version: 1 },
      { slug: C, version: null, condition: { $inSegment: B } },
    ],
  });
  expect([answer.status, answer.body]).toEqual([200, { versions: { [A]: 2, [B]: 2, [C]: 1 } }]);
  const gone = await apply({
    delete: [
      { slug: B, version: 2 },
      { slug: A, version: 2 },
      { slug: C, version: 1 },
    ],
  });
  expect([gone.status, gone.body]).toEqual([200, { versions: {} }]);
});

it('creates layers, and the ranges in them', async () => {
  const layer = `L${run}`;
  const ramp = { from: 0, to: 50, starts_at: '2026-01-01T00:00:00.000Z', ends_at: '2027-01-01T00:00:00.000Z' };
  const answer = await apply({
    layers: [layer],
    segments: [
      { slug: A, version: null, layer: { slug: layer, from: 0, to: 40 } },
      { slug: B, version: null, ramp },
    ],
  });
  expect(answer.status).toBe(200);
  expect((await apply({ segments: [{ slug: B, version: 1, percentage: 3 }] })).body).toEqual({ versions: { [B]: 2 } });
  expect((await apply({ segments: [{ slug: B, version: 2, ramp }] })).body).toEqual({ versions: { [B]: 3 } });
  const overlap = await apply({ segments: [{ slug: C, version: null, layer: { slug: layer, from: 39, to: 41 } }] });
  expect([overlap.status, overlap.body.code]).toEqual([409, 'layer_overlap']);
});

it('changes nothing when anything is refused', async () => {
  await client.segment(A, { percentage: 5 });
  await client.segment(B, { condition: { $inSegment: A } });
  const good = { slug: C, version: null, percentage: 1 };
  for (const [status, code, body] of [
    [412, 'version_stale', { segments: [good, { slug: A, version: 2, percentage: 9 }] }],
    [412, 'version_stale', { segments: [good, { slug: A, version: null }] }],
    [412, 'version_stale', { segments: [good], delete: [{ slug: `${C}x`, version: 1 }] }],
    [409, 'segment_referenced', { segments: [good], delete: [{ slug: A, version: 1 }] }],
    [400, 'invalid', { segments: [good, { slug: A, version: 1, condition: { $inSegment: B } }] }],
    [400, 'invalid', { segments: [good, { slug: A, version: 1, condition: { $nope: 1 } }] }],
    [400, 'invalid', { segments: [good, good] }],
    [400, 'invalid', { segments: [good], prune: true }],
  ] as const) {
    const answer = await apply(body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect((await client.call('GET', `/api/segments/${C}`)).status).toBe(404);
    expect(await client.get(`/api/segments/${A}`)).toMatchObject({ version: 1, percentage: 5 });
  }
  expect((await apply({ segments: [{ slug: A, version: 2 }] })).body.detail).toBe(
    `Another version is current: ${A} (1).`,
  );
});

it('lets one of two rivals through', async () => {
  await client.segment(A);
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, i) => apply({ segments: [{ slug: A, version: 1, percentage: i + 1 }] })),
  );
  expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 7 }, () => 412)]);
  expect(await client.get(`/api/segments/${A}`)).toMatchObject({ version: 2 });
});
