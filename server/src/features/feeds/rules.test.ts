import { untilPasses } from '@kohort/testkit/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { filesOf } from '../../../test/files.ts';
import { type Service, startService } from '../../../test/service.ts';

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
});
afterAll(() => service.stop());

interface Change {
  readonly id: string;
  readonly type: 'entered' | 'left' | 'segment';
  readonly slug: string;
  readonly user_id: number;
  readonly cause: string;
  readonly actor: string;
  readonly at: string;
}

let number = 0;
const fresh = (name: string) => `${name}-${++number}`;

/** Follows segments, and reads on from the last change read. */
async function follow(...segments: string[]) {
  const { status, body } = await client.call('POST', '/api/feeds', { name: 'rules', segments });
  expect(status).toBe(201);
  const { id } = body as { id: number };
  let after = body.cursor as string;

  async function members(): Promise<{ slug: string; user_id: number }[]> {
    const { text } = await service.call('GET', `/api/feeds/${id}/snapshot`, { token: service.admin });
    const lines = text.trimEnd().split('\n');
    return lines.slice(0, -1).map((line) => JSON.parse(line));
  }

  return {
    /** Waits for this many changes: `slug type user cause`. */
    async next(count: number): Promise<Change[]> {
      const found: Change[] = [];
      await untilPasses(async () => {
        const page = (await client.get(`/api/feeds/${id}/changes?after=${after}`)) as {
          changes: Change[];
          cursor: string;
        };
        after = page.cursor;
        found.push(...page.changes.filter(({ type }) => type !== 'segment'));
        expect(found).toHaveLength(count);
      });
      return found;
    },
    members,
    /** Once everything is published, the snapshot equals the members of the segments. */
    async settled(): Promise<void> {
      await untilPasses(async () => {
        const expected = await Promise.all(
          segments.map(async (slug) => {
            const users = await client.all(`/api/segments/${slug}/users`, 'users', 1_000);
            return users.map((user) => `${slug} ${user.id}`);
          }),
        );
        const found = (await members()).map(({ slug, user_id }) => `${slug} ${user_id}`);
        expect(found.sort()).toEqual(expected.flat().sort());
      });
    },
  };
}

const line = ({ type, user_id, cause }: Change) => `${user_id} ${type} ${cause}`;

/** A condition that matches only the users of one test. */
function group(name: string) {
  const of = fresh(name);
  return {
    condition: (more: object = {}) => ({ of, ...more }),
    user: (attributes: object = {}) => client.user({ attributes: { of, ...attributes } }),
  };
}

describe('a feed of a rule', () => {
  it('reports who enters and leaves by attributes, even for a moment', async () => {
    const slug = fresh('attributes');
    const { condition, user } = group('attributes');
    await client.segment(slug, { condition: condition({ vip: true }) });
    const [a, b] = [await user({ vip: true }), await user()];
    const feed = await follow(slug);
    expect(await feed.members()).toMatchObject([{ user_id: a }]);
    for (const vip of [true, false, true]) await client.call('PATCH', `/api/users/${b}`, { attributes: { vip } });
    await client.call('PATCH', `/api/users/${a}`, { attributes: { vip: null } });
    const c = await user({ vip: true });
    expect((await feed.next(5)).map(line)).toEqual([
      `${b} entered attributes`,
      `${b} left attributes`,
      `${b} entered attributes`,
      `${a} left attributes`,
      `${c} entered attributes`,
    ]);
    await client.call('DELETE', `/api/users/${c}`);
    expect((await feed.next(1)).map(line)).toEqual([`${c} left erasure`]);
    await feed.settled();
  });

  it('reports overrides and their expiry', async () => {
    const slug = fresh('overrides');
    const { condition, user } = group('overrides');
    await client.segment(slug, { condition: condition() });
    const [a, outsider] = [await user(), await client.user({})];
    const feed = await follow(slug);
    await client.put(outsider, slug, { mode: 'include' });
    await client.put(outsider, slug, { mode: 'auto' });
    await client.put(a, slug, { mode: 'exclude', ttl: 1 });
    const published = await feed.next(4);
    expect(published.map(line)).toEqual([
      `${outsider} entered add`,
      `${outsider} left remove`,
      `${a} left remove`,
      `${a} entered expiry`,
    ]);
    expect(published[3]?.actor).toBe('system');
    expect(Date.parse(published[3]?.at ?? '') - Date.parse(published[2]?.at ?? '')).toBe(1_000);
    await feed.settled();
  });

  it('reports changes through a segment that another names, even a list that no feed follows', async () => {
    const [list, middle, slug] = [fresh('list'), fresh('middle'), fresh('nested')];
    const { condition, user } = group('nested');
    await client.segment(list);
    await client.segment(middle, { condition: { $inSegment: list } });
    await client.segment(slug, { condition: condition({ $notInSegment: middle }) });
    const a = await user();
    const feed = await follow(slug);
    await client.add(a, list, { ttl: 1 });
    expect((await feed.next(2)).map(line)).toEqual([`${a} left add`, `${a} entered expiry`]);
    await client.add(a, list);
    await client.remove(a, list);
    expect((await feed.next(2)).map(line)).toEqual([`${a} left add`, `${a} entered remove`]);
    await feed.settled();
  });

  it('reports the users whom a definition moves, and follows the segments that it names from then on', async () => {
    const [list, slug] = [fresh('list'), fresh('definition')];
    const { condition, user } = group('definition');
    await client.segment(list);
    await client.segment(slug);
    const users = [await user({ n: 1 }), await user({ n: 2 }), await user({ n: 3 })];
    const [a, b, c] = users;
    await client.add(c ?? 0, list);
    const feed = await follow(slug);
    const change = async (fields: object, count: number) => {
      expect((await client.call('PATCH', `/api/segments/${slug}`, fields)).status).toBe(200);
      return (await feed.next(count)).map(line);
    };
    expect(await change({ condition: condition({ n: { $lte: 2 } }) }, 2)).toEqual([
      `${a} entered definition`,
      `${b} entered definition`,
    ]);
    expect(await change({ condition: condition({ $or: [{ n: 2 }, { $inSegment: list }] }) }, 2)).toEqual([
      `${a} left definition`,
      `${c} entered definition`,
    ]);
    await client.add(a ?? 0, list);
    expect((await feed.next(1)).map(line)).toEqual([`${a} entered add`]);
    await client.call('PATCH', `/api/segments/${slug}`, { description: 'moves no user' });
    expect(await change({ condition: null }, 3)).toEqual(users.map((id) => `${id} left definition`));
    await client.add(b ?? 0, slug);
    expect((await feed.next(1)).map(line)).toEqual([`${b} entered add`]);
    await client.call('DELETE', `/api/segments/${slug}`);
    expect((await feed.next(1)).map(line)).toEqual([`${b} left deletion`]);
  });

  /** False if the definitions were not written before the first of those moments. */
  async function reportsTime(starts: number, stepMs: number): Promise<boolean> {
    const [ramp, list, date] = [fresh('ramp'), fresh('dated'), fresh('date')];
    const { condition, user } = group('time');
    await client.segment(ramp, { condition: condition(), percentage: 0 });
    await client.segment(list, { active_from: '2999-01-01T00:00:00Z' });
    await client.segment(date, { condition: condition({ seen: { $before: 'now-1d' } }) });
    const a = await user();
    await client.add(a, list);
    const feed = await follow(ramp, list, date);
    const now = Date.now();
    const [turns, ends] = [starts + stepMs, starts + 2 * stepMs];
    const iso = (ms: number) => new Date(now + ms).toISOString();
    await Promise.all([
      client.call('PATCH', `/api/segments/${ramp}`, {
        percentage: null,
        ramp: { from: 0, to: 100, starts_at: iso(starts), ends_at: iso(turns) },
      }),
      client.call('PATCH', `/api/segments/${list}`, { active_from: iso(starts), active_until: iso(ends) }),
      client.call('PATCH', `/api/users/${a}`, { attributes: { seen: iso(turns - 86_400_000) } }),
    ]);
    if (Date.now() >= now + starts) return false;
    const published = await feed.next(4);
    const of = (slug: string) => published.filter((one) => one.slug === slug).map(line);
    expect(of(ramp)).toEqual([`${a} entered ramp`]);
    expect(of(list)).toEqual([`${a} entered start`, `${a} left end`]);
    expect(of(date)).toEqual([`${a} entered attributes`]);
    const moments = published.filter(({ slug }) => slug !== ramp).map(({ at }) => Date.parse(at) - now);
    // A start and an end are the first moment of what they begin; a date is before the moments that follow it.
    expect(moments.sort((x, y) => x - y)).toEqual([starts, turns + 1, ends]);
    await feed.settled();
    return true;
  }

  it('reports what time alone changes: a ramp, a start, an end, a date', async () => {
    // What is written after a moment that it names has been changed by the definition, not by time. On workers that takes longer.
    const stepMs = service.db.isDistributed ? 1_000 : 500;
    for (let aheadMs = 3 * stepMs; !(await reportsTime(aheadMs, stepMs)); aheadMs *= 2);
  });

  it('reports imported users', async () => {
    const slug = fresh('imported');
    const { condition } = group('import');
    await client.segment(slug, { condition: condition({ n: 1 }) });
    const feed = await follow(slug);
    const { of } = condition() as { of: string };
    const users = `${JSON.stringify({ external_id: `${of}-x`, attributes: { of, n: 1 } })}\n`;
    await filesOf(service).run('/api/users/import', users, 'application/x-ndjson');
    expect(await feed.next(1)).toMatchObject([{ type: 'entered', cause: 'import' }]);
    await feed.settled();
  });
});
