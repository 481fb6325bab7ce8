import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { untilPasses } from '@kohort/testkit/eventually.ts';
import { open } from '@kohort/testkit/wire.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { patientConnections } from '../../../test/config.ts';
import type { Caller } from '../../http/caller.ts';
import { createRouter } from '../../http/route.ts';
import { createWebServer } from '../../http/server.ts';
import { createCursors } from '../../paging/cursors.ts';
import { Database } from '../../postgres/database.ts';
import { jobRoutes } from './jobs.routes.ts';
import { endFollowing, followingContext } from './jobs.ts';

/** Of one caller; the fourth quarter of all places is for others. */
const MAX_FOLLOWERS = 150;
const EVENTS = 'GET /api/jobs/1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n';

const db = new Database({
  ...patientConnections,
  maxConnections: 8,
  statementTimeout: 10_000,
  onError: () => undefined,
});
const viewer: Caller = { kind: 'key', role: 'viewer', userId: undefined, sessionId: undefined, actor: 'key:1' };
const web = createWebServer({ logLevel: 'silent', trustProxy: [], translate: () => undefined });
const following = followingContext(db, { pollEveryMs: 20 });
let port = 0;
let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
  await db.start(database.url);
  // Received for good.
  await db.query(sql`INSERT INTO jobs (kind, options, actor) VALUES ('user_import', '{}', 'user:1')`);
  // Takes a while, so that some have left before we even begin.
  const authenticate = () => sleep(Math.random() * 8, viewer);
  const settings = {
    authenticate,
    known: () => undefined,
    seedIsOpen: false,
    host: '127.0.0.1',
    refuseUnseen: async () => {},
  };
  jobRoutes(createRouter(web.app, settings), {
    following,
    db,
    cursors: createCursors('a secret of these tests'),
    once: (_, work) => work(db),
    onQueued: () => undefined,
  });
  await web.app.listen({ host: '127.0.0.1', port: 0 });
  const address = web.app.server.address();
  port = typeof address === 'object' && address ? address.port : 0;
});
afterAll(async () => {
  endFollowing(following);
  await web.app.close();
  await db.close();
  await database.drop();
});

async function takeAllPlaces(): Promise<void> {
  const readers = await Promise.all(Array.from({ length: MAX_FOLLOWERS + 1 }, () => open(port)));
  const late = readers.pop();
  try {
    const heads = readers.map(
      ({ socket }) => new Promise<string>((resolve) => socket.once('data', (bytes) => resolve(String(bytes)))),
    );
    for (const reader of readers) reader.write(EVENTS);
    const answers = await Promise.all(heads);
    expect(answers.filter((text) => !text.startsWith('HTTP/1.1 200'))).toEqual([]);
    late?.write(EVENTS);
    expect(await late?.next()).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
  } finally {
    for (const wire of [...readers, late]) wire?.socket.resetAndDestroy();
  }
}

/** A place is free a moment after its follower has left, and one that is lost never is. */
const expectAllPlaces = () => untilPasses(takeAllPlaces);

async function leaveAfter(milliseconds: number, bytes: string): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  socket.write(bytes);
  // Who leaves early leaves at any moment of what the service does for them.
  await sleep(milliseconds);
  socket.resetAndDestroy();
}

it('those who leave early leave their places', async () => {
  for (let i = 0; i < 20; i++) {
    await Promise.all(Array.from({ length: 20 }, () => leaveAfter(Math.random() * 8, EVENTS)));
  }
  await expectAllPlaces();
  await expectAllPlaces();
});

it('also those whose answer has not had its turn on the connection', async () => {
  // The second waits for the first, which never ends: nothing that it says is ever written.
  await Promise.all(Array.from({ length: 50 }, () => leaveAfter(100, EVENTS + EVENTS)));
  await expectAllPlaces();
});

it('a quiet job gives a sign of life, so that what stands between keeps the connection', async () => {
  const wire = await open(port);
  let text = '';
  wire.socket.on('data', (bytes) => {
    text += bytes;
  });
  wire.write(EVENTS);
  await untilPasses(() => expect(text.match(/: still here\n\n/g)?.length).toBeGreaterThan(1));
  expect(text.match(/data: /g)).toHaveLength(1);
  wire.socket.destroy();
});
