import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { untilPasses } from '@kohort/testkit/eventually.ts';
import { open } from '@kohort/testkit/wire.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EventStream, openEvents } from '../../../test/event-stream.ts';
import { type Listening, listen } from '../../../test/listen.ts';
import { ADMIN_PASSWORD } from '../../../test/service.ts';

let database: TestDatabase;
let service: Listening;
let base: string;
let admin: string;

async function call(method: string, path: string, body?: unknown, token = admin) {
  const response = await fetch(`${base}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

const add = (user: string, slug: string) => call('POST', `/api/users/ext:${user}/segments`, { slug });

async function feedOf(slug: string): Promise<{ id: number; cursor: string }> {
  await call('POST', '/api/segments', { slug });
  return (await call('POST', '/api/feeds', { name: slug, segments: [slug] })).body;
}

beforeAll(async () => {
  database = await createDatabase();
  service = await listen(database.url);
  base = `http://127.0.0.1:${service.port}`;
  const signedIn = await fetch(`${base}/auth/sign-in`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'admin', password: ADMIN_PASSWORD }),
  });
  expect(signedIn.status).toBe(200);
  const { token } = (await signedIn.json()) as { token: string };
  admin = token;
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

function follow(feed: number, { token = admin, after = '', lastEventId = '', at = base } = {}) {
  return openEvents(`${at}/api/feeds/${feed}/changes${after && `?after=${after}`}`, {
    authorization: `Bearer ${token}`,
    accept: 'text/event-stream',
    ...(lastEventId && { 'last-event-id': lastEventId }),
  });
}

function parse(event: string | undefined) {
  const [, id = '', data = ''] = /^id: (\S+)\ndata: (.*)$/.exec(event ?? '') ?? [];
  return { id, change: data === '' ? undefined : JSON.parse(data) };
}

/** The next event with a change. Others keep the connection open. */
async function nextChange(stream: EventStream): Promise<string | undefined> {
  for (;;) {
    const event = await stream.next();
    if (event === undefined || event.includes('\ndata: ')) return event;
  }
}

describe('a stream of a feed', () => {
  it('sends changes as they come, and resumes after the last received one on any instance', async () => {
    const { id } = await feedOf('STREAMED');
    const first = await follow(id);
    expect(first.response.headers.get('content-type')).toContain('text/event-stream');
    expect(await first.next()).toMatch(/^id: \S+$/);
    await add('ann', 'STREAMED');
    const heard = parse(await nextChange(first));
    expect(heard.change).toMatchObject({ type: 'entered', external_id: 'ann', cause: 'add' });
    first.leave();
    await add('bob', 'STREAMED');
    const other = await listen(database.url);
    const again = await follow(id, { lastEventId: heard.id, at: `http://127.0.0.1:${other.port}` });
    expect(await again.next()).toBe(`id: ${heard.id}`);
    expect(parse(await nextChange(again)).change).toMatchObject({ external_id: 'bob' });
    await other.stop();
    expect(await nextChange(again)).toBeUndefined();
  });

  it('is refused like any other call, and for an invalid cursor', async () => {
    const { id } = await feedOf('REFUSED');
    expect((await follow(id, { token: 'garbage' })).response.status).toBe(401);
    expect((await follow(9_999)).response.status).toBe(404);
    const malformed = await fetch(`${base}/api/feeds/${id}/changes`, {
      headers: { authorization: `Bearer ${admin}`, accept: 'text/event-stream', 'last-event-id': 'x' },
    });
    expect(malformed.status).toBe(400);
    expect(await malformed.json()).toMatchObject({ errors: [{ path: '/headers/last-event-id' }] });
  });

  it('ends with the feed, and with the credential', async () => {
    const { id } = await feedOf('ENDS');
    const kept = await follow(id);
    await kept.next();
    const key = (await call('POST', '/api/keys', { name: 'follower', role: 'viewer' })).body;
    const byKey = await follow(id, { token: key.key });
    await byKey.next();
    await call('DELETE', `/api/keys/${key.id}`);
    expect(await nextChange(byKey)).toBeUndefined();
    await call('DELETE', `/api/feeds/${id}`);
    expect(await nextChange(kept)).toBeUndefined();
  });

  it('reaches a thousand followers, and one that does not read delays none of them', async () => {
    const { id } = await feedOf('MANY');
    const slow = await open(service.port);
    slow.socket.pause();
    slow.write(
      `GET /api/feeds/${id}/changes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${admin}\r\nAccept: text/event-stream\r\n\r\n`,
    );
    const followers: EventStream[] = [];
    // A hundred at once: a thousand look-ups at once would wait for connections to the database, and some be refused.
    for (let i = 0; i < 10; i++) followers.push(...(await Promise.all(Array.from({ length: 100 }, () => follow(id)))));
    expect(new Set(followers.map(({ response }) => response.status))).toEqual(new Set([200]));
    await Promise.all(followers.map((one) => one.next()));
    for (const user of ['u1', 'u2', 'u3']) await add(user, 'MANY');
    const heard = await Promise.all(
      followers.map(async (one) => {
        const users: string[] = [];
        // In between come events without a change, which keep the connection open.
        for (let event = await one.next(); event !== undefined; event = await one.next()) {
          const { change } = parse(event);
          if (change && users.push(change.external_id) === 3) break;
        }
        one.leave();
        return users.join(' ');
      }),
    );
    expect(new Set(heard)).toEqual(new Set(['u1 u2 u3']));
    slow.socket.destroy();
  });
});

describe('waiting for changes', () => {
  it('answers as soon as there is a change, and with an empty list when the time is up', async () => {
    const { id, cursor } = await feedOf('WAITED');
    const waiting = call('GET', `/api/feeds/${id}/changes?after=${cursor}&wait=30`);
    await add('ann', 'WAITED');
    const { body } = await waiting;
    expect(body.changes).toMatchObject([{ external_id: 'ann' }]);
    const over = await call('GET', `/api/feeds/${id}/changes?after=${body.cursor}&wait=1`);
    expect(over.body).toEqual({ changes: [], cursor: body.cursor });
    expect((await call('GET', `/api/feeds/${id}/changes?wait=31`)).status).toBe(400);
  });

  it('is not answered by changes of other feeds, and skips them', async () => {
    const { id, cursor } = await feedOf('QUIET');
    await feedOf('LOUD');
    await add('ann', 'LOUD');
    await untilPasses(async () => {
      const { body } = await call('GET', `/api/feeds/${id}/changes?after=${cursor}`);
      expect(body).toEqual({ changes: [], cursor: expect.not.stringMatching(cursor) });
    });
  });
});
