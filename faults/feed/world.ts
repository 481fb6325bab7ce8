import { call } from '@kohort/testkit/http.ts';
import type { Access } from './followers.ts';

/** Followed segments, one of each kind. */
export const followed = ['list', 'dated', 'vip', 'share', 'ramp', 'recent', 'nested', 'either', 'layered', 'doomed'];
/** Slugs that some of them get by renames. */
const renamed = ['dated', 'share'];
/** The tag of a feed by tags, which segments carry at times. */
export const tag = 'followed';
/** Segments that are not followed, but named by conditions of followed ones. */
const hidden = ['hidden', 'inner'];
const all = [...followed, ...hidden];
const userCount = 40;

export interface Pick {
  readonly random: () => number;
}

function oneOf<T>({ random }: Pick, values: readonly T[]): T {
  const found = values[Math.floor(random() * values.length)];
  if (found === undefined) throw new Error('nothing to choose from');
  return found;
}

const userOf = (pick: Pick) => `ext:u${Math.floor(pick.random() * userCount)}`;
const fromNow = (ms: number) => new Date(Date.now() + ms).toISOString();
const ttlOf = (pick: Pick) => (pick.random() < 0.4 ? { ttl: 1 + Math.floor(pick.random() * 2) } : {});

function attributesOf(pick: Pick): object {
  const { random } = pick;
  const moment = Date.now() - 1_000 + random() * 2_500;
  const instant = oneOf<unknown>(pick, [moment, new Date(moment).toISOString(), ['x', moment], null]);
  return oneOf<object>(pick, [
    { vip: random() < 0.5 },
    { n: Math.floor(random() * 5) },
    { seen: instant },
    { company: { id: Math.floor(random() * 6) } },
    { vip: true, n: Math.floor(random() * 5), seen: instant },
  ]);
}

/** The possible definitions of a segment. None makes a cycle: `either` names all, `nested` the hidden ones. */
function definitionOf(pick: Pick, slug: string): object {
  const { random } = pick;
  const percent = Math.floor(random() * 100_001) / 1_000;
  switch (slug) {
    case 'list':
    case 'hidden':
    case 'doomed':
      return oneOf(pick, [{ description: String(random()) }, { condition: null }, { condition: { n: 1 } }]);
    case 'dated':
      return oneOf<object>(pick, [
        { active_from: fromNow(300 + random() * 1_500), active_until: null },
        { active_from: null, active_until: fromNow(300 + random() * 1_500) },
        { active_from: fromNow(300 + random() * 500), active_until: fromNow(1_000 + random() * 1_000) },
        { active_from: null, active_until: null },
      ]);
    case 'share':
      return oneOf<object>(pick, [{ percentage: percent }, { bucket_by: 'company.id' }, { bucket_by: null }]);
    case 'ramp': {
      const starts = random() * 1_000;
      const [starts_at, ends_at] = [fromNow(starts), fromNow(starts + 500 + random() * 1_500)];
      return { ramp: { from: percent, to: Math.floor(random() * 101), starts_at, ends_at } };
    }
    case 'recent':
      return {
        condition: oneOf<object>(pick, [{ seen: { $after: 'now-1s' } }, { seen: { $not: { $before: 'now+1s' } } }]),
      };
    case 'nested':
      return {
        condition: oneOf<object>(pick, [
          { $inSegment: 'hidden' },
          { $inSegment: 'hidden', $notInSegment: 'inner' },
          { $or: [{ $inSegment: 'inner' }, { vip: true }] },
        ]),
      };
    case 'either':
      return {
        condition: oneOf<object>(pick, [
          { $or: [{ $inSegment: 'vip' }, { $inSegment: 'ramp' }] },
          { $and: [{ $inSegment: 'recent' }, { $notInSegment: 'dated' }] },
          { $nor: [{ $inSegment: 'nested' }, { n: { $gte: 3 } }] },
        ]),
      };
    case 'layered': {
      const from = Math.floor(random() * 50);
      return { layer: { slug: 'layer', from, to: from + 1 + Math.floor(random() * 49) } };
    }
    default:
      return { condition: oneOf<object>(pick, [{ vip: true }, { vip: true, n: { $gt: 1 } }, { n: { $in: [1, 2] } }]) };
  }
}

/** A call of a caller. 404 and 409 are valid answers: the comparison reads the result from the service. */
interface Deed {
  readonly method: string;
  readonly path: string;
  readonly body?: object | string;
  readonly type?: string;
}

const weights: readonly (readonly [weight: number, deed: (pick: Pick) => Deed])[] = [
  [
    6,
    (pick) => ({
      method: 'POST',
      path: `/api/users/${userOf(pick)}/segments`,
      body: { slug: oneOf(pick, all), ...ttlOf(pick) },
    }),
  ],
  [5, (pick) => ({ method: 'DELETE', path: `/api/users/${userOf(pick)}/segments/${oneOf(pick, all)}` })],
  [
    5,
    (pick) => ({
      method: 'PUT',
      path: `/api/users/${userOf(pick)}/segments/${oneOf(pick, all)}`,
      body: oneOf<object>(pick, [
        { mode: 'include', ...ttlOf(pick) },
        { mode: 'exclude', ...ttlOf(pick) },
        { mode: 'auto' },
      ]),
    }),
  ],
  [10, (pick) => ({ method: 'PATCH', path: `/api/users/${userOf(pick)}`, body: { attributes: attributesOf(pick) } })],
  [1, (pick) => ({ method: 'POST', path: '/api/users', body: { attributes: attributesOf(pick) } })],
  [1, (pick) => ({ method: 'DELETE', path: `/api/users/${userOf(pick)}` })],
  [
    4,
    (pick) => {
      const slug = oneOf(pick, all);
      return { method: 'PATCH', path: `/api/segments/${slug}`, body: definitionOf(pick, slug) };
    },
  ],
  [
    2,
    (pick) => {
      const [slug, forward] = [oneOf(pick, renamed), pick.random() < 0.4];
      return {
        method: 'PATCH',
        path: `/api/segments/${forward ? slug : `${slug}-2`}`,
        body: { slug: forward ? `${slug}-2` : slug },
      };
    },
  ],
  [
    2,
    (pick) => ({
      method: 'PATCH',
      path: `/api/segments/${oneOf(pick, all)}`,
      body: { tags: pick.random() < 0.5 ? [tag] : [] },
    }),
  ],
  [
    2,
    (pick) => ({
      method: 'PATCH',
      path: `/api/segments/${oneOf(pick, all)}/users`,
      body: { add: [{ user: userOf(pick), ...ttlOf(pick) }], remove: [] },
    }),
  ],
  [
    1,
    (pick) => ({
      method: 'POST',
      path: `/api/segments/${oneOf(pick, ['list', 'hidden', 'vip', 'dated'])}/import?mode=${oneOf(pick, ['add', 'remove', 'replace'])}`,
      body: `external_id\n${Array.from({ length: 6 }, () => userOf(pick).slice(4)).join('\n')}\n`,
      type: 'text/csv',
    }),
  ],
  [
    1,
    (pick) => ({
      method: 'POST',
      path: '/api/users/import',
      body: Array.from({ length: 4 }, () =>
        JSON.stringify({ external_id: userOf(pick).slice(4), attributes: attributesOf(pick) }),
      ).join('\n'),
      type: 'application/x-ndjson',
    }),
  ],
];
const weightOfAll = weights.reduce((sum, [weight]) => sum + weight, 0);

function drawn(pick: Pick): Deed {
  let at = pick.random() * weightOfAll;
  for (const [weight, deed] of weights) {
    at -= weight;
    if (at < 0) return deed(pick);
  }
  throw new Error('nothing was drawn');
}

async function send({ url, token }: Access, { method, path, body, type }: Deed): Promise<number> {
  const { status } = await call(url(), method, path, {
    token,
    withinMs: 30_000,
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    ...(type !== undefined && { headers: { 'Content-Type': type } }),
  });
  return status;
}

/** Sends a random deed. Returns 0 if the connection broke, so that the outcome is unknown. */
export function act(access: Access): Promise<number> {
  return send(access, drawn(access)).catch(() => 0);
}

/** Deletes a followed segment if it exists. */
export function deleteDoomed(access: Access): Promise<number> {
  return send(access, { method: 'DELETE', path: '/api/segments/doomed' });
}

export async function createWorld(access: Access): Promise<void> {
  const demand = async (deed: Deed) => {
    const status = await send(access, deed);
    if (status >= 300) throw new Error(`${deed.path} answered ${status}`);
  };
  await demand({ method: 'POST', path: '/api/layers', body: { slug: 'layer' } });
  for (let i = 0; i < userCount; i++) {
    await demand({ method: 'PATCH', path: `/api/users/ext:u${i}`, body: { attributes: attributesOf(access) } });
  }
  for (const slug of [...hidden, ...followed]) {
    await demand({ method: 'POST', path: '/api/segments', body: { slug, ...definitionOf(access, slug) } });
  }
}

async function read<T>({ url, token }: Access, path: string): Promise<T> {
  const { status, text } = await call(url(), 'GET', path, { token });
  if (status !== 200) throw new Error(`${path} answered ${status}: ${text}`);
  return JSON.parse(text) as T;
}

async function tagged(access: Access): Promise<string[]> {
  const { segments } = await read<{ segments: { slug: string }[] }>(access, `/api/segments?tag=${tag}`);
  return segments.map(({ slug }) => slug);
}

/** The members of each segment that a feed follows now. */
export async function membersOf(access: Access, feed: number): Promise<Map<string, Set<number>>> {
  const members = new Map<string, Set<number>>();
  const { segments } = await read<{ segments: string[] | null }>(access, `/api/feeds/${feed}`);
  for (const slug of segments ?? (await tagged(access))) {
    const { users } = await read<{ users: { id: number }[] }>(access, `/api/segments/${slug}/users?limit=1000`);
    members.set(slug, new Set(users.map(({ id }) => id)));
  }
  return members;
}
