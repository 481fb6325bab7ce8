import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf, patiently } from '../../../test/client.ts';
import { expectFold } from '../../../test/fold.ts';
import { type Service, startService } from '../../../test/service.ts';

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

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
/** What time and shares add to a definition, where nothing is said of them. */
const UNSET = { bucket_by: null, ramp: null, layer: null, active_from: null, active_until: null };
const create = (body: unknown) => client.call('POST', '/api/segments', body);
const read = (slug: string) => client.get(`/api/segments/${slug}`);
const change = (slug: string, body: unknown, ifMatch?: string) =>
  client.call('PATCH', `/api/segments/${slug}`, body, ifMatch === undefined ? undefined : { 'if-match': ifMatch });
const remove = (slug: string) => client.call('DELETE', `/api/segments/${slug}`);
const pathsOf = ({ body }: { body: { errors: { path: string }[] } }) => body.errors.map(({ path }) => path);

describe('creating', () => {
  it('answers 200 with the id and nothing else', async () => {
    const answer = await create({ slug: 'AVITO_VOICE_MESSAGES' });
    expect(answer).toMatchObject({ status: 200 });
    expect(answer.text).toBe('{"id":1}');
    expect(await read('AVITO_VOICE_MESSAGES')).toEqual({
      id: 1,
      slug: 'AVITO_VOICE_MESSAGES',
      description: null,
      tags: [],
      percentage: null,
      condition: null,
      ...UNSET,
      salt: expect.stringMatching(/^.{16,}$/),
      version: 1,
      created_at: expect.stringMatching(TIME),
      updated_at: expect.stringMatching(TIME),
      used_by: [],
    });
  });

  it('keeps everything that is said of it', async () => {
    const given = {
      slug: 'said',
      description: 'All of it',
      tags: ['b', 'a'],
      percentage: 33.333,
      condition: { city: 'Berlin', age: { $gte: 18 } },
    };
    await create(given);
    expect(await read('said')).toMatchObject(given);
  });

  it('draws a salt for each', async () => {
    await Promise.all([client.segment('salt-1'), client.segment('salt-2')]);
    expect((await read('salt-1')).salt).not.toBe((await read('salt-2')).salt);
  });

  it('refuses a slug that is taken, by its case exactly, and burns no id', async () => {
    const id = await client.segment('Taken');
    expect(await create({ slug: 'Taken' })).toMatchObject({ status: 409, body: { code: 'slug_taken' } });
    expect(await client.segment('taken')).toBe(id + 1);
  });

  it('takes every slug of the pattern, also those that are words of our paths', async () => {
    const user = await client.user();
    for (const slug of ['0', 'a.', 'a..b', 'x'.repeat(255), 'segments', 'history', 'memberships', 'preview', 'users']) {
      expect((await create({ slug })).status, slug).toBe(200);
      expect((await read(slug)).slug).toBe(slug);
      await client.add(user, slug);
      expect(await client.segmentsOf(user)).toEqual([slug]);
      // The short form of the seed.
      expect((await client.call('DELETE', `/api/users/${user}/${slug}`)).status, slug).toBe(200);
      expect(await client.segmentsOf(user)).toEqual([]);
      expect((await remove(slug)).status, slug).toBe(200);
    }
  });

  it.each([
    [{}],
    [{ slug: '' }],
    [{ slug: '.a' }],
    [{ slug: '-a' }],
    [{ slug: 'a b' }],
    [{ slug: 'ä' }],
    [{ slug: 'a\n' }],
    [{ slug: 'x'.repeat(256) }],
    [{ slug: 7 }],
    [{ slug: 'ok', percent: 5 }],
    [{ slug: 'ok', percentage: '5' }],
    [{ slug: 'ok', percentage: -0.001 }],
    [{ slug: 'ok', percentage: 100.001 }],
    [{ slug: 'ok', percentage: 0.1234 }],
    [{ slug: 'ok', percentage: 1e-7 }],
    [{ slug: 'ok', tags: [''] }],
    [{ slug: 'ok', tags: ['a\n'] }],
    [{ slug: 'ok', tags: ['x'.repeat(65)] }],
    [{ slug: 'ok', tags: 'a' }],
    [{ slug: 'ok', condition: [] }],
    [{ slug: 'ok', condition: 'x' }],
    [{ slug: 'ok', description: 7 }],
    [{ slug: 'ok', description: 'nul\0' }],
  ])('refuses %j', async (body) => {
    expect((await create(body)).status).toBe(400);
    expect((await client.call('GET', '/api/segments/ok')).status).toBe(404);
  });

  it.each([0, 100, 0.001, 99.999, 33.333, 12.5])('takes %d per cent', async (percentage) => {
    const slug = `per-cent-${percentage}`;
    await client.segment(slug, { percentage });
    expect((await read(slug)).percentage).toBe(percentage);
    await remove(slug);
  });

  it('of 50 equal slugs at once makes one', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => patiently(() => create({ slug: 'rushed' }))));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(49).fill(409)]);
  });
});

describe('conditions', () => {
  it.each([
    [{ age: { $near: 1 } }, '/body/condition/age/$near'],
    [{ $or: [{ a: 1 }, { b: { $gt: [] } }] }, '/body/condition/$or/1/b/$gt'],
    [{ $and: [{ $inSegment: 'no-such' }] }, '/body/condition/$and/0/$inSegment'],
    [{ a: { $regex: '(' } }, '/body/condition/a/$regex'],
    [{ a: { $vgt: 'x' } }, '/body/condition/a/$vgt'],
  ])('that cannot be are refused with the place: %j', async (condition, path) => {
    for (const answer of [
      await create({ slug: 'refused', condition }),
      await client.call('POST', '/api/segments/preview', { condition }),
    ]) {
      expect(answer.status).toBe(400);
      expect(pathsOf(answer)).toEqual([path]);
    }
    expect((await client.call('GET', '/api/segments/refused')).status).toBe(404);
  });

  it('that name unknown segments are refused with each of them', async () => {
    const answer = await create({
      slug: 'refused',
      condition: { $nor: [{ $inSegment: 'nobody-1' }, { $notInSegment: 'nobody-2' }] },
    });
    expect(answer.status).toBe(400);
    expect(pathsOf(answer)).toEqual(['/body/condition/$nor/0/$inSegment', '/body/condition/$nor/1/$notInSegment']);
  });

  it('never go in a circle', async () => {
    await client.segment('circle-a');
    await client.segment('circle-b', { condition: { $inSegment: 'circle-a' } });
    await client.segment('circle-c', { condition: { $or: [{ x: 1 }, { $notInSegment: 'circle-b' }] } });
    for (const slug of ['circle-a', 'circle-b', 'circle-c']) {
      const answer = await change('circle-a', { condition: { $and: [{ y: 1 }, { $inSegment: slug }] } });
      expect(answer.status, slug).toBe(400);
      expect(pathsOf(answer)).toEqual(['/body/condition/$and/1/$inSegment']);
    }
    expect(await read('circle-a')).toMatchObject({ condition: null, version: 1 });
    for (const slug of ['circle-c', 'circle-b', 'circle-a']) expect((await remove(slug)).status).toBe(200);
  });

  it('that two writers close to a circle at once are refused to one of them', async () => {
    for (let round = 0; round < 5; round++) {
      const [a, b] = [`knot-a${round}`, `knot-b${round}`];
      await client.segment(a);
      await client.segment(b);
      const answers = await Promise.all([
        change(a, { condition: { $inSegment: b } }),
        change(b, { condition: { $inSegment: a } }),
      ]);
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 400]);
    }
  });
});

describe('changing', () => {
  it('keeps what is absent and clears by null', async () => {
    const all = { description: 'D', tags: ['t'], percentage: 10, condition: { a: 1 } };
    await client.segment('cleared', all);
    expect((await change('cleared', {})).body).toMatchObject({ ...all, version: 1 });
    expect((await change('cleared', { percentage: 20 })).body).toMatchObject({ ...all, percentage: 20, version: 2 });
    const cleared = { description: null, tags: null, percentage: null, condition: null };
    const answer = await change('cleared', cleared);
    expect(answer.body).toMatchObject({ ...cleared, tags: [], version: 3 });
    expect(await read('cleared')).toEqual({ ...answer.body, used_by: [] });
  });

  it('raises the version, the ETag and updated_at only when something changes', async () => {
    await client.segment('versioned', { tags: ['a'], percentage: 5, condition: { a: { $gt: 1, $lt: 2 }, b: 1 } });
    const before = await read('versioned');
    const same = await change('versioned', {
      slug: 'versioned',
      tags: ['a'],
      percentage: 5,
      condition: { b: 1, a: { $lt: 2, $gt: 1 } },
      description: null,
    });
    expect(same.headers.etag).toBe('"1"');
    expect({ ...same.body, used_by: [] }).toEqual(before);
    const changed = await change('versioned', { tags: ['a', 'b'] });
    expect(changed.headers.etag).toBe('"2"');
    expect(changed.body.version).toBe(2);
    expect(changed.body.updated_at > before.updated_at).toBe(true);
    expect(changed.body).toMatchObject({ id: before.id, salt: before.salt, created_at: before.created_at });
    expect((await client.call('GET', '/api/segments/versioned')).headers.etag).toBe('"2"');
    expect(await client.all('/api/segments/versioned/history', 'events')).toHaveLength(2);
  });

  it('with If-Match happens on that version only', async () => {
    await client.segment('matched');
    expect((await change('matched', { description: '1' }, '"1"')).status).toBe(200);
    expect(await change('matched', { description: '2' }, '"1"')).toMatchObject({
      status: 412,
      body: { code: 'version_stale' },
    });
    expect((await change('matched', {}, '"1"')).status).toBe(412);
    expect((await change('matched', { description: '3' }, '"3"')).status).toBe(412);
    expect((await change('matched', { description: '4' }, '*')).status).toBe(200);
    for (const other of ['""', '"-1"', '"03"', 'W/"3"', '"x", "1"']) {
      expect((await change('matched', { description: '5' }, other)).status, other).toBe(412);
    }
    for (const malformed of ['2', 'x', "'2'", '"2']) {
      expect((await change('matched', { description: '5' }, malformed)).status, malformed).toBe(400);
    }
    expect(await read('matched')).toMatchObject({ description: '4', version: 3 });
  });

  it('with one If-Match by many at once is granted to one', async () => {
    await client.segment('contested');
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => patiently(() => change('contested', { description: String(i) }, '"1"'))),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(19).fill(412)]);
  });

  it('refuses in the order form, existence, state', async () => {
    await client.segment('ordered');
    await client.segment('ordered-taken');
    const bad = { condition: { a: { $near: 1 } } };
    const unknownSlug = { condition: { $inSegment: 'no-such' } };
    const itself = { condition: { $inSegment: 'ordered' } };
    expect((await change('no-such', bad)).status).toBe(400);
    expect((await change('no-such', unknownSlug)).status).toBe(400);
    expect((await change('no-such', { percentage: 1.2345 })).status).toBe(400);
    expect((await change('no-such', {}, 'malformed')).status).toBe(400);
    expect((await change('no-such', {}, '"1"')).status).toBe(404);
    expect((await change('ordered', bad, '"9"')).status).toBe(400);
    expect((await change('ordered', unknownSlug, '"9"')).status).toBe(400);
    expect((await change('ordered', itself, '"9"')).status).toBe(400);
    expect((await change('ordered', { ...bad, slug: 'ordered-taken' })).status).toBe(400);
    expect((await change('ordered', { slug: 'ordered-taken' }, '"9"')).status).toBe(412);
    expect((await change('ordered', { slug: 'ordered-taken' })).status).toBe(409);
    expect((await create({ slug: 'ordered', ...bad })).status).toBe(400);
    expect((await create({ slug: 'ordered', ...unknownSlug })).status).toBe(400);
  });

  it.each([{ slug: null }, { id: 7 }, { salt: 'x' }, { version: 7 }, { percentage: 0.0001 }, { tags: [''] }])(
    'refuses %j',
    async (body) => {
      await create({ slug: 'strict' });
      expect((await change('strict', body)).status).toBe(400);
      expect((await read('strict')).version).toBe(1);
    },
  );
});

describe('a rename', () => {
  it('keeps id, members, history and buckets, and the conditions that name it follow', async () => {
    await client.segment('old-name', { percentage: 50 });
    await client.segment('names-it', { condition: { $or: [{ $inSegment: 'old-name' }, { vip: true }] } });
    const user = await client.user();
    await client.put(user, 'old-name', { mode: 'include' });
    const before = await read('old-name');
    const { bucket } = await client.why(user, 'old-name');

    expect((await change('old-name', { slug: 'new-name' })).body).toMatchObject({ id: before.id, salt: before.salt });
    expect((await client.call('GET', '/api/segments/old-name')).status).toBe(404);
    expect((await change('old-name', {})).status).toBe(404);
    expect((await client.add(user, 'old-name')).status).toBe(404);
    expect(await client.segmentsOf(user)).toEqual(['names-it', 'new-name']);
    expect((await client.why(user, 'new-name')).bucket).toBe(bucket);
    expect(await read('names-it')).toMatchObject({
      condition: { $or: [{ $inSegment: 'new-name' }, { vip: true }] },
      version: 1,
    });
    expect((await read('new-name')).used_by).toEqual(['names-it']);
    expect(await client.story(user, 'new-name')).toEqual(['add include']);
    expect((await client.get('/api/segments/new-name/history')).events).toMatchObject([
      { action: 'update', before: { slug: 'old-name' }, after: { slug: 'new-name' } },
      { action: 'create', before: null, after: { slug: 'old-name' } },
    ]);
    // The old name is free for another segment, which has nothing of the first.
    const other = await client.segment('old-name');
    expect(other).not.toBe(before.id);
    expect((await client.get('/api/segments/old-name/count')).count).toBe(0);
  });

  it('to a slug that is taken is 409 and changes nothing', async () => {
    await client.segment('renamed-1');
    await client.segment('renamed-2');
    expect((await change('renamed-1', { slug: 'renamed-2', description: 'x' })).status).toBe(409);
    expect(await read('renamed-1')).toMatchObject({ version: 1, description: null });
  });

  it('racing creations of that slug leaves one segment with it', async () => {
    for (let round = 0; round < 5; round++) {
      const [from, to] = [`race-from-${round}`, `race-to-${round}`];
      await client.segment(from);
      const answers = await Promise.all([
        create({ slug: to }),
        change(from, { slug: to }),
        create({ slug: to }),
        create({ slug: from }),
      ]);
      const [made, renamed, madeToo] = answers.slice(0, 3).map(({ status }) => status);
      expect([made, renamed, madeToo].sort()).toEqual([200, 409, 409]);
      const live = await client.all(`/api/segments?query=race-`, 'segments');
      expect(new Set(live.map(({ slug }) => slug)).size).toBe(live.length);
    }
  });
});

describe('deleting', () => {
  it('answers exactly {"status":"ok"}, then 404, and takes the segment from every read', async () => {
    await client.segment('deleted', { tags: ['deleted'] });
    const user = await client.user();
    await client.add(user, 'deleted');
    expect((await remove('deleted')).text).toBe('{"status":"ok"}');
    expect(await remove('deleted')).toMatchObject({ status: 404, body: { code: 'segment_unknown' } });
    for (const path of ['', '/users', '/count', '/history']) {
      expect((await client.call('GET', `/api/segments/deleted${path}`)).status, path).toBe(404);
    }
    expect((await client.call('GET', `/api/users/${user}/segments/deleted`)).status).toBe(404);
    expect((await client.add(user, 'deleted')).status).toBe(404);
    expect((await client.remove(user, 'deleted')).status).toBe(404);
    expect((await change('deleted', {})).status).toBe(404);
    // Chance lets a new user into segments of other tests that have a percentage.
    expect(await client.segmentsOf(user)).not.toContain('deleted');
    const { memberships } = await client.get(`/api/users/${user}/memberships`);
    expect(memberships.map(({ slug }: { slug: string }) => slug)).not.toContain('deleted');
    expect(await client.all('/api/segments?tag=deleted', 'segments')).toEqual([]);
    const [removed] = (await client.get(`/api/users/${user}/history`)).events;
    expect(removed).toMatchObject({ slug: 'deleted', action: 'remove', source: 'include', actor: 'user:1' });
  });

  it('frees the slug at once for a segment that has nothing of the old one', async () => {
    const before = await client.segment('reused', { percentage: 100 });
    const user = await client.user();
    await client.add(user, 'reused');
    const { salt } = await read('reused');
    await remove('reused');
    const after = await client.segment('reused');
    expect(after).not.toBe(before);
    expect(await read('reused')).toMatchObject({ id: after, version: 1, percentage: null });
    expect((await read('reused')).salt).not.toBe(salt);
    expect((await client.get('/api/segments/reused/count')).count).toBe(0);
    expect(await client.segmentsOf(user)).not.toContain('reused');
    expect((await client.get('/api/segments/reused/history')).events).toHaveLength(1);
  });

  it('is refused while conditions name the segment, and lists them', async () => {
    await client.segment('named');
    await client.segment('naming-b', { condition: { $inSegment: 'named' } });
    await client.segment('naming-a', { condition: { $or: [{ $notInSegment: 'named' }, { $inSegment: 'named' }] } });
    expect((await read('named')).used_by).toEqual(['naming-a', 'naming-b']);
    const refused = await remove('named');
    expect(refused).toMatchObject({ status: 409, body: { code: 'segment_referenced' } });
    expect(refused.body.detail).toContain('naming-a, naming-b');
    await change('naming-a', { condition: null });
    expect((await remove('named')).status).toBe(409);
    await remove('naming-b');
    expect((await remove('named')).status).toBe(200);
  });

  it('racing a condition that comes to name it leaves no dangling name', async () => {
    for (let round = 0; round < 8; round++) {
      const [named, naming] = [`dangling-${round}`, `dangler-${round}`];
      await client.segment(named);
      const [removed, created] = await Promise.all([
        remove(named),
        create({ slug: naming, condition: { $inSegment: named } }),
      ]);
      expect([
        [200, 400],
        [409, 200],
      ]).toContainEqual([removed.status, created.status]);
    }
  });

  it('racing adds has a remove row for each add that was acknowledged, and refuses the rest', async () => {
    const users: number[] = [];
    for (let i = 0; i < 30; i++) users.push(await client.user());
    for (let round = 0; round < 4; round++) {
      const slug = `add-race-${round}`;
      const id = await client.segment(slug);
      const adding = users.map(async (user, i) => ({
        user,
        status: (await (i % 3 === 0 ? client.patch(user, { add: [slug] }) : client.add(user, slug))).status,
      }));
      // Later each time, so that it meets other stages of the adding.
      const deleting = new Promise((resolve) => setTimeout(resolve, round * 4)).then(() => remove(slug));
      const [answers, deleted] = await Promise.all([Promise.all(adding), deleting]);
      expect(deleted.status).toBe(200);
      expect(answers.filter(({ status }) => status !== 200 && status !== 404)).toEqual([]);
      const rows = await service.db.query<{ user_id: number; ops: string[]; late: boolean }>(sql`
        SELECT h.user_id, array_agg(h.op ORDER BY h.seq) AS ops, bool_or(h.at > s.deleted_at) AS late
        FROM history h JOIN segments s ON s.id = h.segment_id WHERE s.id = ${id} GROUP BY h.user_id ORDER BY h.user_id`);
      expect(rows).toEqual(
        answers
          .filter(({ status }) => status === 200)
          .map(({ user }) => ({ user_id: user, ops: ['add', 'remove'], late: false })),
      );
    }
  });
});

describe('the list of segments', () => {
  it('is ordered by slug, byte by byte, and neither skips nor repeats untouched segments while others write', async () => {
    const slugs = ['p-B', 'p-a', 'p-a.', 'p-a0', 'p-aa', 'p-b', 'p_a', 'p.a'];
    for (const slug of slugs) await client.segment(slug, { tags: ['paged'] });
    const seen: string[] = [];
    let cursor = '';
    for (let page = 0; ; page++) {
      const { segments, next_cursor } = await client.get(`/api/segments?tag=paged&limit=2${cursor}`);
      seen.push(...segments.map(({ slug }: { slug: string }) => slug));
      if (next_cursor === null) break;
      cursor = `&cursor=${next_cursor}`;
      await remove([...seen].at(-1) ?? '');
      await client.segment(`p--late-${page}`, { tags: ['paged'] });
    }
    expect(seen).toEqual([...slugs].sort());
  });

  it('finds a part of the slug or the description without regard to case, and a tag exactly', async () => {
    await client.segment('find-ME', { tags: ['Blue'] });
    await client.segment('other', { description: 'Please Find-me Ü', tags: ['Blue', 'x'] });
    const found = async (query: string) => (await client.all(`/api/segments?${query}`, 'segments')).map((s) => s.slug);
    expect(await found('query=FIND-me')).toEqual(['find-ME', 'other']);
    expect(await found('query=find-me&tag=x')).toEqual(['other']);
    expect(await found('query=%C3%BC')).toEqual(['other']);
    expect(await found('tag=Blue')).toEqual(['find-ME', 'other']);
    expect(await found('tag=blue')).toEqual([]);
    expect(await found('tag=&query=find-me')).toEqual(await found('query=find-me'));
    expect(await found('tag=a%20b')).toEqual([]);
    expect(await found('query=fin%25')).toEqual([]);
  });

  it('shows conditions by slug', async () => {
    await client.segment('shown-1');
    await client.segment('shown-2', { condition: { $inSegment: 'shown-1' } });
    const [, shown] = await client.all('/api/segments?query=shown-', 'segments');
    expect(shown.condition).toEqual({ $inSegment: 'shown-1' });
  });

  it.each(['limit=0', 'limit=1001', 'limit=01', 'cursor=x', 'tag=a%00', 'tags=x'])('refuses ?%s', async (query) => {
    expect((await client.call('GET', `/api/segments?${query}`)).status).toBe(400);
  });
});

describe('the history of a definition', () => {
  it('has every change with before and after, newest first, page by page', async () => {
    await client.segment('told', { percentage: 10 });
    await change('told', { percentage: 20, description: 'more' });
    await change('told', { percentage: 20 });
    await change('told', { percentage: null, condition: { a: 1 } });
    const state = { slug: 'told', description: null, tags: [], percentage: 10, condition: null, ...UNSET };
    const second = { ...state, percentage: 20, description: 'more' };
    const third = { ...second, percentage: null, condition: { a: 1 } };
    const events = await client.all('/api/segments/told/history', 'events');
    expect(events).toEqual([
      { at: expect.stringMatching(TIME), actor: 'user:1', action: 'update', before: second, after: third },
      { at: expect.stringMatching(TIME), actor: 'user:1', action: 'update', before: state, after: second },
      { at: expect.stringMatching(TIME), actor: 'user:1', action: 'create', before: null, after: state },
    ]);
    const { created_at, updated_at } = await read('told');
    expect([events[0].at, events[2].at]).toEqual([updated_at, created_at]);
    for (const limit of [1, 2]) {
      expect(await client.all('/api/segments/told/history', 'events', limit)).toEqual(events);
    }
  });

  it('refuses a cursor of another segment', async () => {
    for (const slug of ['cursor-1', 'cursor-2']) {
      await client.segment(slug);
      await change(slug, { description: 'x' });
    }
    const { next_cursor } = await client.get('/api/segments/cursor-1/history?limit=1');
    expect((await client.call('GET', `/api/segments/cursor-2/history?cursor=${next_cursor}`)).status).toBe(400);
  });

  it('names the actor: a session, a key, or none in evaluation mode', async () => {
    const { body: key } = await client.call('POST', '/api/keys', { name: 'k', role: 'editor' });
    await service.call('POST', '/api/segments', { body: { slug: 'by-anyone' } });
    await service.call('PATCH', '/api/segments/by-anyone', { body: { description: 'x' }, token: key.key });
    const events = await client.all('/api/segments/by-anyone/history', 'events');
    expect(events.map(({ actor }) => actor)).toEqual([`key:${key.id}`, 'anonymous']);
  });
});
