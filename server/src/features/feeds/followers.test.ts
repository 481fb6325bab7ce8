import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { open } from '@kohort/testkit/wire.ts';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
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
  const { token } = (await signedIn.json()) as { token: string };
  admin = token;
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

/** The events of a stream, one at a time, each as its lines. */
async function follow(feed: number, { token = admin, after = '', lastEventId = '', at = base } = {}) {
  const leave = new AbortController();
  const response = await fetch(`${at}/api/feeds/${feed}/changes${after && `?after=${after}`}`, {
    headers: {
      authorization: `Bearer ${token}`,
      accept: 'text/event-stream',
      ...(lastEventId && { 'last-event-id': lastEventId }),
    },
    signal: leave.signal,
  });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  return {
    response,
    leave: () => leave.abort(),
    /** Undefined when the stream has ended. */
    async next(): Promise<string | undefined> {
      for (;;) {
        const end = text.indexOf('\n\n');
        if (end >= 0) {
          const event = text.slice(0, end);
          text = text.slice(end + 2);
          return event;
        }
        const chunk = await reader?.read();
        if (chunk === undefined || chunk.done) return undefined;
        text += chunk.value;
      }
    },
  };
}

function parse(event: string | undefined) {
  const [, id = '', data = ''] = /^id: (\S+)\ndata: (.*)$/.exec(event ?? '') ?? [];
  return { id, change: data === '' ? undefined : JSON.parse(data) };
}

describe('a stream of a feed', () => {
  it('tells changes as they come, and goes on after the last one that was heard, through any instance', async () => {
    const { id } = await feedOf('STREAMED');
    const first = await follow(id);
    expect(first.response.headers.get('content-type')).toContain('text/event-stream');
    expect(await first.next()).toMatch(/^id: \S+$/);
    await add('ann', 'STREAMED');
    const heard = parse(await first.next());
    expect(heard.change).toMatchObject({ type: 'entered', external_id: 'ann', cause: 'add' });
    first.leave();
    await add('bob', 'STREAMED');
    const other = await listen(database.url);
    const again = await follow(id, { lastEventId: heard.id, at: `http://127.0.0.1:${other.port}` });
    expect(await again.next()).toBe(`id: ${heard.id}`);
    expect(parse(await again.next()).change).toMatchObject({ external_id: 'bob' });
    await other.stop();
    expect(await again.next()).toBeUndefined();
  });

  it('is refused like any other call, and for a cursor that is none', async () => {
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
    expect(await byKey.next()).toBeUndefined();
    await call('DELETE', `/api/feeds/${id}`);
    expect(await kept.next()).toBeUndefined();
  });

  it('is told to a thousand followers, whom one that does not read takes nothing from', async () => {
    const { id } = await feedOf('MANY');
    const slow = await open(service.port);
    slow.socket.pause();
    slow.write(
      `GET /api/feeds/${id}/changes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${admin}\r\nAccept: text/event-stream\r\n\r\n`,
    );
    const followers = await Promise.all(Array.from({ length: 1_000 }, () => follow(id)));
    await Promise.all(followers.map((one) => one.next()));
    for (const user of ['u1', 'u2', 'u3']) await add(user, 'MANY');
    const heard = await Promise.all(
      followers.map(async (one) => {
        const users = [];
        for (let i = 0; i < 3; i++) users.push(parse(await one.next()).change?.external_id);
        one.leave();
        return users.join(' ');
      }),
    );
    expect(new Set(heard)).toEqual(new Set(['u1 u2 u3']));
    slow.socket.destroy();
  });
});

describe('waiting for changes', () => {
  it('answers as soon as there is one, and empty when the time is over', async () => {
    const { id, cursor } = await feedOf('WAITED');
    const waiting = call('GET', `/api/feeds/${id}/changes?after=${cursor}&wait=30`);
    await add('ann', 'WAITED');
    const { body } = await waiting;
    expect(body.changes).toMatchObject([{ external_id: 'ann' }]);
    const over = await call('GET', `/api/feeds/${id}/changes?after=${body.cursor}&wait=1`);
    expect(over.body).toEqual({ changes: [], cursor: body.cursor });
    expect((await call('GET', `/api/feeds/${id}/changes?wait=31`)).status).toBe(400);
  });

  it('is not woken by the changes of other feeds, and passes them', async () => {
    const { id, cursor } = await feedOf('QUIET');
    await feedOf('LOUD');
    await add('ann', 'LOUD');
    await vi.waitFor(async () => {
      const { body } = await call('GET', `/api/feeds/${id}/changes?after=${cursor}`);
      expect(body).toEqual({ changes: [], cursor: expect.not.stringMatching(cursor) });
    }, 5_000);
  });
});
