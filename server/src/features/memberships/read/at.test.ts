import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Service, startService } from '../../../../test/service.ts';
import { endNow } from '../../../../test/time.ts';

let service: Service;
let token: string;
beforeAll(async () => {
  service = await startService();
  token = service.admin;
});
afterAll(() => service.stop());

const call = (method: string, path: string, body?: unknown) => service.call(method, path, { token, body });

/** A moment by the database's clock, with nothing happening in its millisecond: times are whole ones. */
async function moment(): Promise<string> {
  await sleep(3);
  const [row] = await service.db.query<{ now: Date }>(sql`SELECT clock_timestamp() AS now`);
  await sleep(3);
  return row?.now.toISOString() ?? '';
}

/** What could be answered at any moment between these two, both included. */
async function possibleBetween(user: string, from: string, to: string): Promise<string[][]> {
  const found: string[][] = [];
  for (let at = Date.parse(from); at <= Date.parse(to); at++) {
    found.push(await segmentsAt(user, new Date(at).toISOString()));
  }
  return found;
}

async function segmentsAt(user: string, at: string): Promise<string[]> {
  const { status, body } = await call('GET', `/api/users/${user}/segments?at=${at}`);
  expect(status).toBe(200);
  return body.segments;
}

describe('GET …/segments?at=', () => {
  it('answers from overrides, expiries, definitions and attributes as they stood', async () => {
    const before = await moment();
    await call('POST', '/api/segments', { slug: 'LIST' });
    await call('POST', '/api/segments', { slug: 'RICH', condition: { money: { $gt: 10 } } });
    const { body } = await call('POST', '/api/users', { external_id: 'one', attributes: { money: 5 } });
    const registered = await moment();
    await call('POST', '/api/users/ext:one/segments', { slug: 'LIST' });
    await call('PATCH', '/api/users/ext:one', { attributes: { money: 50 } });
    const rich = await moment();
    await call('PATCH', '/api/segments/LIST', { slug: 'RENAMED' });
    expect((await call('PATCH', '/api/segments/RICH', { condition: { money: { $gt: 100 } } })).status).toBe(200);
    const renamed = await moment();
    await call('DELETE', '/api/segments/RENAMED');
    const deleted = await moment();

    expect(await segmentsAt('ext:one', before)).toEqual([]);
    expect(await segmentsAt('ext:one', registered)).toEqual([]);
    expect(await segmentsAt('ext:one', rich)).toEqual(['LIST', 'RICH']);
    expect(await segmentsAt('ext:one', renamed)).toEqual(['RENAMED']);
    expect(await segmentsAt(String(body.id), deleted)).toEqual([]);
  });

  it('ends a membership at its expiry, before and after the expiry is written', async () => {
    await call('POST', '/api/segments', { slug: 'SHORT' });
    const { body } = await call('POST', '/api/users', { external_id: 'short' });
    await call('POST', '/api/users/ext:short/segments', { slug: 'SHORT', ttl: 60 });
    await moment();
    const ended = await endNow(service.db, body.id);
    await moment();
    const at = (offset: number) => new Date(ended.getTime() + offset).toISOString();
    for (const _ of ['before', 'after']) {
      expect(await segmentsAt('ext:short', at(-1))).toEqual(['SHORT']);
      expect(await segmentsAt('ext:short', at(0))).toEqual([]);
      await call('GET', '/api/users/ext:short/history');
    }
  });

  it('refuses what is no time, or is not past', async () => {
    for (const at of ['yesterday', '2026-02-30T00:00:00Z', '2026-01-01T00:00:00', '9999-01-01T00:00:00Z']) {
      const { status, body } = await call('GET', `/api/users/1/segments?at=${at}`);
      expect([at, status, body.errors[0].path]).toEqual([at, 400, '/query/at']);
    }
    expect((await call('GET', '/api/users/ext:nobody/segments?at=2026-01-01T00:00:00Z')).status).toBe(404);
  });
});

const SLUGS = ['A', 'B', 'C', 'D'];
const USERS = ['u1', 'u2', 'u3'];
const definition = fc.oneof(
  fc.constant({}),
  fc.record({ percentage: fc.constantFrom(0, 30, 60, 100) }),
  fc.record({ condition: fc.constantFrom({ n: { $gt: 2 } }, { n: { $exists: false } }, { tags: 'x' }) }),
  fc.record({
    percentage: fc.constantFrom(50, 90),
    condition: fc.constantFrom({ n: { $lte: 3 } }, { $notInSegment: 'D' }),
  }),
);
/** Definitions that change with time alone, as they are written now: each lasts for a few steps. */
const timed = fc.record({
  kind: fc.constantFrom('ramp', 'window', 'start', 'layer', 'seen', 'team'),
  lasts: fc.integer({ min: 20, max: 200 }),
  to: fc.constantFrom(0, 50, 100),
});
const unset = { ramp: null, layer: null, bucket_by: null, active_from: null, active_until: null };
function definitionNow({ kind, lasts, to }: typeof timed extends fc.Arbitrary<infer T> ? T : never): object {
  const [now, end] = [0, lasts].map((ms) => new Date(Date.now() + ms).toISOString());
  switch (kind) {
    case 'ramp':
      return { ramp: { from: 100 - to, to, starts_at: now, ends_at: end } };
    case 'window':
      return { percentage: 100, active_until: end };
    case 'start':
      return { active_from: end };
    case 'layer':
      return { layer: { slug: 'L', from: to / 2, to: to / 2 + 50 } };
    case 'seen':
      return { condition: to === 0 ? { seen: { $before: 'now-1s' } } : { seen: { $after: 'now-1s' } } };
    default:
      return { percentage: 50, bucket_by: 'team' };
  }
}

const step = fc.oneof(
  fc.record({ kind: fc.constant('time' as const), slug: fc.constantFrom(...SLUGS), timed }),
  fc.record({ kind: fc.constant('time' as const), slug: fc.constantFrom(...SLUGS), timed }),
  fc.record({
    kind: fc.constant('seen' as const),
    user: fc.constantFrom(...USERS),
    ago: fc.integer({ min: 800, max: 1_000 }),
    team: fc.constantFrom('red', 'blue', 7, null),
  }),
  fc.record({ kind: fc.constant('create' as const), slug: fc.constantFrom(...SLUGS), definition }),
  fc.record({ kind: fc.constant('change' as const), slug: fc.constantFrom(...SLUGS), definition }),
  fc.record({ kind: fc.constant('rename' as const), slug: fc.constantFrom(...SLUGS), to: fc.constantFrom(...SLUGS) }),
  fc.record({ kind: fc.constant('delete' as const), slug: fc.constantFrom(...SLUGS) }),
  fc.record({
    kind: fc.constant('override' as const),
    slug: fc.constantFrom(...SLUGS),
    user: fc.constantFrom(...USERS),
    mode: fc.constantFrom('include', 'exclude', 'auto'),
    lasts: fc.option(fc.integer({ min: 20, max: 120 })),
  }),
  fc.record({ kind: fc.constant('remove' as const), slug: fc.constantFrom(...SLUGS), user: fc.constantFrom(...USERS) }),
  fc.record({
    kind: fc.constant('attributes' as const),
    user: fc.constantFrom(...USERS),
    attributes: fc.record({ n: fc.option(fc.integer({ min: 0, max: 5 })), tags: fc.option(fc.subarray(['x', 'y'])) }),
  }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function perform(one: Step, prefix: string) {
  const user = 'user' in one ? `/api/users/ext:${prefix}${one.user}` : '';
  switch (one.kind) {
    case 'create':
      return call('POST', '/api/segments', { slug: one.slug, ...one.definition });
    case 'change':
      return call('PATCH', `/api/segments/${one.slug}`, {
        percentage: null,
        condition: null,
        ...unset,
        ...one.definition,
      });
    case 'time':
      return call('PATCH', `/api/segments/${one.slug}`, {
        percentage: null,
        condition: null,
        ...unset,
        ...definitionNow(one.timed),
      });
    case 'seen': {
      const seen = new Date(Date.now() - one.ago).toISOString();
      return call('PATCH', user, { attributes: { seen, team: one.team } });
    }
    case 'rename':
      return call('PATCH', `/api/segments/${one.slug}`, { slug: one.to });
    case 'delete':
      return call('DELETE', `/api/segments/${one.slug}`);
    case 'override': {
      const expires_at =
        one.lasts === null || one.mode === 'auto' ? null : new Date(Date.now() + one.lasts).toISOString();
      return call('PUT', `${user}/segments/${one.slug}`, { mode: one.mode, ...(expires_at && { expires_at }) });
    }
    case 'remove':
      return call('DELETE', `${user}/segments/${one.slug}`);
    case 'attributes':
      return call('PATCH', user, { attributes: one.attributes });
  }
}

describe('a random history', () => {
  it('replayed as-of gives at every step what the live call answered then', async () => {
    let compared = 0;
    let run = 0;
    await call('POST', '/api/layers', { slug: 'L' });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 15, maxLength: 25 }), async (steps) => {
        for (const slug of SLUGS) await call('PATCH', `/api/segments/${slug}`, { condition: null });
        for (const slug of SLUGS) await call('DELETE', `/api/segments/${slug}`);
        const prefix = `run${run++}-`;
        for (const user of USERS) await call('POST', '/api/users', { external_id: `${prefix}${user}` });
        const seen: { from: string; to: string; user: string; segments: string[] }[] = [];
        for (const one of steps) {
          const { status } = await perform(one, prefix);
          expect(status).toBeLessThan(500);
          const from = await moment();
          const answers = await Promise.all(
            USERS.map((user) => call('GET', `/api/users/ext:${prefix}${user}/segments`)),
          );
          const to = await moment();
          for (const [i, user] of USERS.entries()) seen.push({ from, to, user, segments: answers[i]?.body.segments });
        }
        for (const { from, to, user, segments } of seen) {
          const [first, last] = [
            await segmentsAt(`ext:${prefix}${user}`, from),
            await segmentsAt(`ext:${prefix}${user}`, to),
          ];
          // Where something expired while the live call ran, it may have answered either.
          if (JSON.stringify(first) !== JSON.stringify(last)) continue;
          // Two things may have changed meanwhile, so that the end is as the beginning was.
          if (JSON.stringify(first) !== JSON.stringify(segments))
            expect(await possibleBetween(`ext:${prefix}${user}`, from, to)).toContainEqual(segments);
          compared++;
        }
      }),
      { numRuns: 8, endOnFailure: true },
    );
    expect(compared).toBeGreaterThan(200);
    process.stdout.write(`as-of: ${compared} moments compared with the live answers\n`);
  });
});
