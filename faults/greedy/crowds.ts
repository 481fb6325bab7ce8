import { call } from '@kohort/testkit/http.ts';
import { sendCrowd } from '../slow.ts';
import type { World } from './world.ts';

/** Many calls at the same time, each of which alone is harmless. */
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
      call(world.url, method, path(world, i), {
        token: world.token,
        ...(body && { body: JSON.stringify(body(world)) }),
      }),
    );
}

/** Clients that ask and never read, on connections of their own. */
function unread(connections: number, paths: readonly string[]) {
  return async ({ url, token }: World) => {
    const { port, host } = new URL(url);
    const opening = paths
      .map((path) => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n\r\n`)
      .join('');
    const crowd = sendCrowd(Number(port), connections, { opening, deaf: true });
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

const large = '/docs/assets/swagger-ui-bundle.js';
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
  { what: '60 unread documents on 20 connections', gather: unread(20, ['/openapi.json', large, '/openapi.json']) },
  {
    what: '640 unread documents on 20 connections',
    gather: unread(
      20,
      Array.from({ length: 32 }, () => large),
    ),
  },
  { what: '4,200 dawdling connections', gather: dawdling(4_200) },
];
