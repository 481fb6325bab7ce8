import { call } from '@kohort/testkit/http.ts';
import { sendCrowd } from '../slow.ts';
import type { World } from './world.ts';

/** Many calls at the same time, each harmless by itself. */
export interface Crowd {
  readonly what: string;
  readonly gather: (world: World) => Promise<void>;
}

const dwellMs = 3_000;

async function atOnce(count: number, one: (i: number) => Promise<unknown>): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, i) => one(i)));
}

function calls(
  count: number,
  method: string,
  path: (world: World, i: number) => string,
  body?: (world: World) => object,
) {
  return (world: World) =>
    atOnce(count, (i) =>
      call(world.urls[i % world.urls.length] ?? world.url, method, path(world, i), {
        token: world.token,
        ...(body && { body: JSON.stringify(body(world)) }),
      }),
    );
}

/** Clients that send requests on connections of their own, and may or may not read the answers. */
function connected(
  connections: number,
  paths: (world: World) => readonly string[],
  { deaf, accept = '*/*' }: { readonly deaf: boolean; readonly accept?: string },
) {
  return async (world: World) => {
    const { port, host } = new URL(world.url);
    const headers = `Host: ${host}\r\nAuthorization: Bearer ${world.token}\r\nAccept: ${accept}\r\n`;
    const opening = paths(world)
      .map((path) => `GET ${path} HTTP/1.1\r\n${headers}\r\n`)
      .join('');
    const crowd = sendCrowd(Number(port), connections, { opening, deaf });
    await new Promise((resolve) => setTimeout(resolve, dwellMs));
    crowd.leave();
  };
}

function dawdling(connections: number) {
  return async ({ url }: World) => {
    const { port, host } = new URL(url);
    const crowd = sendCrowd(Number(port), connections, {
      opening: `POST /auth/sign-in HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n`,
      drip: ' ',
      every: 1_000,
    });
    await new Promise((resolve) => setTimeout(resolve, dwellMs));
    crowd.leave();
  };
}

/** Longer than headers may take. */
const lateMs = 12_000;

function lateHeaders(connections: number) {
  return async ({ url }: World) => {
    const { port, host } = new URL(url);
    const crowd = sendCrowd(Number(port), connections, { opening: `GET /healthz HTTP/1.1\r\nHost: ${host}\r\n` });
    await new Promise((resolve) => setTimeout(resolve, lateMs));
    crowd.leave();
  };
}

const large = '/docs/assets/swagger-ui-bundle.js';
const events = 'text/event-stream';
const changesOf = ({ feed }: World['fed']) => `/api/feeds/${feed}/changes`;
const usersOf = (world: World, i: number) => `/api/users/ext:u${i % world.users}`;

export const crowds: readonly Crowd[] = [
  {
    what: '30 memberships of one user in all lists',
    gather: calls(30, 'GET', ({ crowded }) => `/api/users/${crowded}/memberships`),
  },
  {
    what: '60 memberships of different users',
    gather: calls(60, 'GET', (world, i) => `${usersOf(world, i)}/memberships`),
  },
  { what: '60 lists of different users', gather: calls(60, 'GET', (world, i) => `${usersOf(world, i)}/segments`) },
  { what: '60 whys of different users', gather: calls(60, 'GET', (world, i) => `${usersOf(world, i)}/segments/D1`) },
  { what: '30 pages of 1,000 users', gather: calls(30, 'GET', () => '/api/users?limit=1000') },
  { what: '30 pages of 1,000 segments', gather: calls(30, 'GET', () => '/api/segments?limit=1000') },
  {
    what: '30 pages of 1,000 members',
    gather: calls(30, 'GET', ({ lists }) => `/api/segments/${lists[0]}/users?limit=1000`),
  },
  {
    what: '16 resolves of 1,000 users',
    gather: calls(
      16,
      'POST',
      () => '/api/resolve',
      ({ users }) => ({
        users: Array.from({ length: 1_000 }, (_, i) => `ext:u${i % users}`),
      }),
    ),
  },
  {
    what: '60 evaluations of all flags',
    gather: calls(
      60,
      'POST',
      () => '/ofrep/v1/evaluate/flags',
      () => ({ context: { targetingKey: 'u0' } }),
    ),
  },
  {
    what: '20 bodies of 1 MiB that are refused',
    gather: calls(
      20,
      'POST',
      () => '/api/segments',
      () => ({ slug: 'x'.repeat(1_048_000) }),
    ),
  },
  {
    what: '60 unread documents on 20 connections',
    gather: connected(20, () => ['/openapi.json', large, '/openapi.json'], { deaf: true }),
  },
  {
    what: '640 unread documents on 20 connections',
    gather: connected(20, () => Array.from({ length: 32 }, () => large), { deaf: true }),
  },
  {
    what: '30 pages of 1,000 changes',
    gather: calls(30, 'GET', ({ fed }) => `${changesOf(fed)}?limit=1000`),
  },
  {
    what: '30 followers of large changes',
    gather: connected(30, ({ fed }) => [changesOf(fed)], { deaf: false, accept: events }),
  },
  {
    what: '30 followers who do not read them',
    gather: connected(30, ({ fed }) => [changesOf(fed)], { deaf: true, accept: events }),
  },
  {
    what: '30 snapshots of a feed',
    gather: calls(30, 'GET', ({ fed }) => `/api/feeds/${fed.feed}/snapshot`),
  },
  {
    what: '20 replays of a large message',
    gather: calls(20, 'POST', ({ fed }) => `/api/webhooks/${fed.webhook}/deliveries/${fed.delivery}/replay`),
  },
  { what: '4,200 dawdling connections', gather: dawdling(4_200) },
  { what: '4,200 connections with late headers', gather: lateHeaders(4_200) },
];
