import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf, patiently } from '../../../../test/client.ts';
import { attributes, condition, EVERYTHING } from '../../../../test/conditions/random.ts';
import { expectFold } from '../../../../test/fold.ts';
import { type Answer, type Service, startService } from '../../../../test/service.ts';
import { letPass } from '../../../../test/time.ts';
import { toWire } from '../../../segmentation/conditions/references.ts';

const USERS = 200;
const SEGMENTS = 40;
/** Random conditions name the segments 1 to 8; these are built so that none of them names itself or a later one. */
const NAMED = 8;
const seed = Number(process.env.SEED ?? Math.trunc(Math.random() * 2 ** 31));

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
});
afterAll(async () => {
  await expectFold(service.db);
  await service.stop();
});

/** Segments that time or a key of their own have a say in; so slow or so far away that nothing changes while the test runs. */
const CENTURY = { starts_at: '1970-01-01T00:00:00Z', ends_at: '2090-01-01T00:00:00Z' };
const TIMED = [
  { ramp: { from: 0, to: 100, ...CENTURY } },
  { ramp: { from: 90, to: 10, ...CENTURY }, condition: { a: { $exists: true } } },
  { ramp: { from: 5, to: 80, starts_at: '2090-01-01T00:00:00Z', ends_at: '2091-01-01T00:00:00Z' } },
  { percentage: 50, bucket_by: 'a' },
  { percentage: 50, bucket_by: 'a.0' },
  { ramp: { from: 20, to: 90, ...CENTURY }, bucket_by: 'b.a' },
  { layer: { slug: 'layer', from: 0, to: 33.333 } },
  { layer: { slug: 'layer', from: 33.333, to: 70 }, condition: { $or: [{ a: { $type: 'array' } }, { b: null }] } },
  { layer: { slug: 'layer', from: 70, to: 100 }, bucket_by: 'c' },
  { active_from: '2020-01-01T00:00:00Z' },
  { active_from: '2090-01-01T00:00:00Z', percentage: 100 },
  { active_until: '2020-01-01T00:00:00Z' },
  { active_until: '2090-01-01T00:00:00Z', condition: { $notInSegment: 'timed-11' } },
  { condition: { $or: [{ $inSegment: 'timed-0' }, { $inSegment: 'timed-9' }, { $inSegment: 'timed-10' }] } },
];

const slugOf = (n: number) => `segment-${n}`;

/** Runs all, a few dozen at a time, in order of the results. */
async function each<In, Out>(items: readonly In[], work: (item: In) => Promise<Out>): Promise<Out[]> {
  const results: Out[] = [];
  for (let i = 0; i < items.length; i += 64) results.push(...(await Promise.all(items.slice(i, i + 64).map(work))));
  return results;
}

async function populate(): Promise<void> {
  const sample = <T>(arbitrary: fc.Arbitrary<T>, n: number, salt: number) =>
    fc.sample(arbitrary, { numRuns: n, seed: seed + salt });
  const drawn = sample(attributes(EVERYTHING), USERS, 1);
  await each([...drawn.entries()], ([i, found]) =>
    client.user({ external_id: i % 3 ? null : `ext ${i} Ü`, attributes: found }),
  );

  const conditions = sample(condition(EVERYTHING, drawn), SEGMENTS + 1, 2);
  const percentages = sample(fc.integer({ min: 0, max: 100_000 }), SEGMENTS + 1, 3);
  for (let n = 1; n <= SEGMENTS; n++) {
    const stored = conditions[n] ?? {};
    const named = (id: number) => slugOf(n > NAMED ? id : ((id - 1) % (n - 1)) + 1);
    const isList = n <= 2 || n === 20;
    const percentage = n === 3 || n % 4 === 0 ? (percentages[n] ?? 0) / 1000 : null;
    const wire = n === 3 || n % 8 === 4 ? null : toWire(stored, named);
    await client.segment(slugOf(n), isList ? {} : { percentage, condition: wire });
  }

  await client.call('POST', '/api/layers', { slug: 'layer' });
  for (const [i, fields] of Object.entries(TIMED)) await client.segment(`timed-${i}`, fields);

  const override = fc.record({
    user: fc.integer({ min: 2, max: USERS + 1 }),
    slug: fc.oneof(
      fc.integer({ min: 1, max: NAMED }).map(slugOf),
      fc.integer({ min: 1, max: SEGMENTS }).map(slugOf),
      fc.nat({ max: TIMED.length - 1 }).map((i) => `timed-${i}`),
    ),
    mode: fc.constantFrom('include', 'exclude'),
    ttl: fc.constantFrom(undefined, 3_600, 86_400),
  });
  await each(sample(override, USERS * 8, 4), async ({ user, slug, mode, ttl }) => {
    const { status } = await patiently(() => client.put(user, slug, { mode, ...(ttl && { ttl }) }));
    expect(status).toBe(200);
  });
  // Half of what was to last an hour has ended, and was not swept.
  for (let user = 2; user <= USERS + 1; user += 2) await letPass(service.db, user, 3_700);
}

/** What the definition says of a user, from the parts that the why reports. */
function byRule(definition: Answer['body'], { percentage, bucket, matched }: Answer['body']): boolean {
  const { ramp, layer, condition: hasCondition, active_from, active_until } = definition;
  const now = new Date().toISOString();
  if ((active_from ?? now) > now || (active_until ?? '3000') <= now || matched === false) return false;
  if (layer) return bucket !== null && bucket >= layer.from && bucket < layer.to;
  if (ramp || definition.percentage !== null) return bucket !== null && bucket < percentage;
  return hasCondition !== null;
}

it('one user, resolve, pages, counts, previews, memberships and why agree about every pair', async ({ annotate }) => {
  await populate();
  const users = (await client.all('/api/users', 'users', 1_000)).map(({ id }) => id as number);
  const slugs = (await client.all('/api/segments', 'segments')).map(({ slug }) => slug as string).sort();
  const definitions = new Map(
    (await client.all('/api/segments', 'segments')).map((segment) => [segment.slug as string, segment]),
  );
  expect(users).toHaveLength(USERS + 1);
  expect(slugs).toHaveLength(SEGMENTS + TIMED.length);
  const say = (what: string) => `${what} (SEED=${seed})`;

  // By user.
  const resolved = (await client.call('POST', '/api/resolve', { users: users.map(String) })).body.results;
  const memberships = new Map<string, Answer['body']>();
  await each([...users.entries()], async ([i, user]) => {
    const slugsOfUser = await client.segmentsOf(user);
    expect(resolved[i], say(`resolve of ${user}`)).toEqual({ user: String(user), segments: slugsOfUser });
    const listed = (await client.get(`/api/users/${user}/memberships`)).memberships;
    expect(
      listed.map(({ slug }: { slug: string }) => slug),
      say(`memberships of ${user}`),
    ).toEqual(slugsOfUser);
    for (const one of listed) memberships.set(`${user} ${one.slug}`, one);
  });

  // By segment, and pair by pair.
  let [pairs, members] = [0, 0];
  for (const slug of slugs) {
    const definition = definitions.get(slug);
    const page = await client.all(`/api/segments/${slug}/users`, 'users', 70);
    const onPage = new Map(page.map((member) => [member.id as number, member]));
    expect((await client.get(`/api/segments/${slug}/count`)).count, say(`count of ${slug}`)).toBe(page.length);
    let matches = 0;
    await each(users, async (user) => {
      const why = await client.why(user, slug);
      const { member, source, expires_at, matched } = why;
      const about = say(`${user} in ${slug}`);
      const listed = memberships.get(`${user} ${slug}`);
      const shown = onPage.get(user);
      expect([listed !== undefined, shown !== undefined], about).toEqual([member, member]);
      if (member) {
        const { since } = listed;
        expect([listed, shown], about).toMatchObject(Array(2).fill({ source, since, expires_at }));
      }
      if (source !== 'include' && source !== 'exclude') {
        expect(member, about).toBe(byRule(definition, why));
      }
      pairs++;
      if (member) members++;
      if (matched) matches++;
    });
    if (definition.condition) {
      const preview = await client.call('POST', '/api/segments/preview', { condition: definition.condition });
      expect(preview.body, say(`preview of ${slug}`)).toMatchObject({ count: matches, total: users.length });
    }
  }
  await annotate(`${pairs} pairs compared in 7 ways, ${members} of them memberships; seed ${seed}`);
  expect(pairs).toBe((USERS + 1) * (SEGMENTS + TIMED.length));
});
