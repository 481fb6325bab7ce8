import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Answer, Service } from './service.ts';

/** Short hands for what nearly every test does; each is one call by the admin. */
export interface Client {
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Demands success and answers the body. */
  get(path: string): Promise<Answer['body']>;
  /** A new segment; its id. */
  segment(slug: string, definition?: object): Promise<number>;
  /** A new user; its id. */
  user(user?: object): Promise<number>;
  add(user: number | string, slug: string, expiry?: object): Promise<Answer>;
  remove(user: number | string, slug: string): Promise<Answer>;
  put(user: number | string, slug: string, body: object): Promise<Answer>;
  patch(user: number | string, body: object): Promise<Answer>;
  segmentsOf(user: number | string): Promise<string[]>;
  why(user: number | string, slug: string): Promise<Answer['body']>;
  /** The history of a user, oldest first, as `action mode` each; of one segment if it is named. */
  story(user: number | string, slug?: string): Promise<string[]>;
  /** All of a list, page by page. */
  all(path: string, field: string, limit?: number): Promise<Answer['body'][]>;
}

const patienceMs = 200;

/**
 * A call among many that wait for each other: on a busy machine, or on workers, not all of them have their turn in the time that a
 * call may wait. One that is refused is made again, as the service asks callers to do.
 */
export async function patiently(call: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await call();
    if (answer.body?.code !== 'overloaded') return answer;
    await sleep(Math.random() * patienceMs);
  }
}

export function clientOf(service: Service): Client {
  const call: Client['call'] = (method, path, body, headers) =>
    service.call(method, path, { token: service.admin, body, ...(headers && { headers }) });

  async function demand(method: string, path: string, body?: unknown): Promise<Answer['body']> {
    const answer = await patiently(() => call(method, path, body));
    if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text}`);
    return answer.body;
  }

  const get: Client['get'] = (path) => demand('GET', path);
  const all: Client['all'] = async (path, field, limit = 100) => {
    const found = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: Answer['body'] = await get(
        `${path}${path.includes('?') ? '&' : '?'}limit=${limit}${cursor && `&cursor=${cursor}`}`,
      );
      expect(page[field].length).toBeLessThanOrEqual(limit);
      found.push(...page[field]);
      cursor = page.next_cursor;
    }
    return found;
  };

  return {
    call,
    get,
    all,
    segment: async (slug, definition = {}) => (await demand('POST', '/api/segments', { slug, ...definition })).id,
    user: async (user = {}) => (await demand('POST', '/api/users', user)).id,
    add: (user, slug, expiry = {}) => call('POST', `/api/users/${user}/segments`, { slug, ...expiry }),
    remove: (user, slug) => call('DELETE', `/api/users/${user}/segments/${slug}`),
    put: (user, slug, body) => call('PUT', `/api/users/${user}/segments/${slug}`, body),
    patch: (user, body) => call('PATCH', `/api/users/${user}/segments`, body),
    segmentsOf: async (user) => (await get(`/api/users/${user}/segments`)).segments,
    why: (user, slug) => get(`/api/users/${user}/segments/${slug}`),
    async story(user, slug) {
      const events = await all(`/api/users/${user}/history${slug === undefined ? '' : `?segment=${slug}`}`, 'events');
      return events.map(({ action, source }) => `${action} ${source}`).reverse();
    },
  };
}
