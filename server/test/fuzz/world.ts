import { setTimeout as sleep } from 'node:timers/promises';
import type { Draft } from './breaks.ts';
import { knownLayer } from './rules.ts';
import type { Known } from './values.ts';
import type { Heard } from './verdict.ts';

export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: string | Buffer | undefined;
}
/** Of a host that does not exist: nothing is sent anywhere. */
const hookUrl = 'https://receiver.invalid/hook';

/** How a request gets to the service that is tried; nothing else is known of it. */
export type Send = (request: Sent) => Promise<Heard>;

/** A service in production mode with a few things in it, and an account of every role. */
export interface World {
  readonly known: Known;
  /** Users and accounts that stay as they are: drafts that would change them are not sent. */
  readonly kept: ReadonlySet<string>;
  restore(): Promise<void>;
  tokenFor(credential: Draft['credential'], operation: string): Promise<string | undefined>;
  /** What has become of what we know. */
  heard(operation: string, body: unknown, status: number): void;
  send: Send;
}

// biome-ignore lint/suspicious/noExplicitAny: it looks into whatever came back.
type Demand = (method: string, path: string, token?: string, body?: unknown, type?: string) => Promise<any>;

function demandBy(send: Send): Demand {
  return async (method, path, token, body, type = 'application/json') => {
    const { status, text } = await send({
      method,
      path,
      headers: {
        ...(body !== undefined && { 'content-type': type }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      payload: typeof body === 'string' || body === undefined ? body : JSON.stringify(body),
    });
    if (status >= 300) throw new Error(`${method} ${path} answered ${status}: ${text}`);
    return text === '' ? {} : JSON.parse(text);
  };
}

const passwordOf = (username: string) => `a password of ${username}, long enough`;

async function signIn(demand: Demand, username: string, password = passwordOf(username)): Promise<string> {
  return (await demand('POST', '/auth/sign-in', undefined, { username, password })).token;
}

interface Cast {
  /** By credential. */
  readonly tokens: Readonly<Record<string, string>>;
  readonly kept: ReadonlySet<string>;
  readonly doomedAccount: number;
}

/** An account of every role, and keys of every kind. */
async function createCast(demand: Demand, admin: string): Promise<Cast> {
  const signUp = async (username: string, role: string): Promise<number> => {
    const body = { name: username, username, password: passwordOf(username) };
    const { id } = await demand('POST', '/auth/sign-up', undefined, body);
    if (role !== 'member') await demand('PATCH', `/api/accounts/${id}`, admin, { role });
    return id;
  };
  const createKey = (body: object) => demand('POST', '/api/keys', admin, body);
  const kept = new Set(['1']);
  const tokens: Record<string, string> = {};
  for (const role of ['member', 'viewer', 'editor']) {
    kept.add(String(await signUp(`fuzz.${role}`, role)));
    tokens[role] = await signIn(demand, `fuzz.${role}`);
  }
  const key = await createKey({ name: 'fuzz', role: 'viewer' });
  kept.add(String(key.id));
  tokens['viewer key'] = key.key;
  const limited = { name: 'fuzz limited', tags: ['known'] };
  tokens['tagged key'] = (await createKey({ ...limited, role: 'editor' })).key;
  const origins = ['https://shop.example'];
  tokens['browser key'] = (await createKey({ ...limited, role: 'browser', origins })).key;
  const doomedAccount = await signUp('fuzz.doomed', 'member');
  await signUp('fuzz.session', 'viewer');
  return { tokens, kept, doomedAccount };
}

const slugs = ['Known1', 'Known2', 'Known3', 'Known4'];

const knownAtFirst = (): Record<string, string[]> => ({
  slug: slugs,
  flag: slugs,
  segment: slugs,
  segments: slugs,
  remove: slugs,
  add: slugs,
  layer: [knownLayer],
  layers: [knownLayer],
  url: [hookUrl],
  secret: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
  username: ['fuzz.viewer', 'nobody'],
  password: [passwordOf('fuzz.viewer'), 'wrong'],
  current_password: [passwordOf('fuzz.session')],
  new_password: [passwordOf('fuzz.session')],
});

interface Place {
  readonly send: Send;
  readonly demand: Demand;
  readonly admin: string;
  readonly known: Record<string, string[]>;
  readonly doomedAccount: number;
}

/** Ids of a webhook whose receiver does not exist, and of its delivery, which has ended. */
async function restoreWebhooks({ demand, admin, known }: Place, feed: number): Promise<void> {
  const { id } = await demand('POST', '/api/webhooks', admin, { url: hookUrl, feed });
  const { id: test } = await demand('POST', `/api/webhooks/${id}/test`, admin);
  // Paused, since it would fail each time that a user enters or leaves; tests are sent all the same.
  await demand('PATCH', `/api/webhooks/${id}`, admin, { enabled: false });
  const isPending = async () =>
    (await demand('GET', `/api/webhooks/${id}/deliveries`, admin)).deliveries[0].state === 'pending';
  for (let looks = 0; looks < 250 && (await isPending()); looks++) await sleep(20);
  known.delivery = [String(test), '999999'];
  known.webhook = [String(id), '999999'];
}

async function restoreSegments({ send, demand, admin }: Place): Promise<void> {
  const isGone = async (path: string): Promise<boolean> => {
    const headers = { authorization: `Bearer ${admin}` };
    return (await send({ method: 'GET', path, headers, payload: undefined })).status === 404;
  };
  if (await isGone(`/api/layers/${knownLayer}`)) await demand('POST', '/api/layers', admin, { slug: knownLayer });
  const layer: { segments: { slug: string }[] } = await demand('GET', `/api/layers/${knownLayer}`, admin);
  // A layer in use cannot be deleted.
  for (const { slug } of layer.segments) await demand('PATCH', `/api/segments/${slug}`, admin, { layer: null });
  for (const slug of slugs) {
    if (!(await isGone(`/api/segments/${slug}`))) continue;
    await demand('POST', '/api/segments', admin, {
      slug,
      ...(slug === 'Known3' && { percentage: 50 }),
      ...(slug === 'Known1' && { tags: ['known'] }),
    });
  }
}

/** Everything in `known` exists again, whatever has been deleted since. */
async function restore(place: Place): Promise<void> {
  const { demand, admin, known, doomedAccount } = place;
  await restoreSegments(place);
  const users: string[] = [];
  for (let i = 0; i < 4; i++) {
    const { id } = await demand('PATCH', `/api/users/ext:known${i}`, admin, { attributes: { plan: 'pro', n: i } });
    await demand('POST', `/api/users/${id}/segments`, admin, { slug: 'Known1' });
    users.push(String(id), `ext:known${i}`);
  }
  const { job } = await demand('POST', '/api/segments/Known2/import', admin, 'external_id\nknown1\n', 'text/csv');
  const { url } = await demand('POST', '/api/reports', admin, { month: '2026-11' });
  const { id: spare } = await demand('POST', '/api/keys', admin, { name: 'doomed', role: 'editor' });
  const feed = await demand('POST', '/api/feeds', admin, { name: 'known', segments: ['Known1'] });
  known.feed = [String(feed.id)];
  known.after = [String(feed.cursor)];
  known.user = known.users = users;
  known.id = [String(job), String(spare), String(doomedAccount), '999999'];
  await restoreWebhooks(place, feed.id);
  known.report = [String(url).split('/').at(-1) ?? ''];
}

export async function makeWorld(send: Send, adminPassword: string): Promise<World> {
  const demand = demandBy(send);
  const admin = await signIn(demand, 'admin', adminPassword);
  const { tokens, kept, doomedAccount } = await createCast(demand, admin);
  const known = knownAtFirst();
  const place: Place = { send, demand, admin, known, doomedAccount };
  await restore(place);

  let session: string | undefined;
  let sessionPassword = passwordOf('fuzz.session');
  return {
    known,
    kept,
    send,
    restore: () => restore(place),
    heard(operation, body, status) {
      if (operation !== 'changePassword' || status !== 204) return;
      sessionPassword = (body as { new_password: string }).new_password;
      known.current_password = [sessionPassword];
    },
    async tokenFor(credential, operation) {
      if (credential === 'none') return undefined;
      if (credential === 'garbage') return `${admin.slice(0, -2)}AA`;
      if (credential !== 'fitting') return tokens[credential];
      // Calls about one's own session are for an account of their own, which may lose it.
      if (['signOut', 'me', 'changePassword'].includes(operation)) {
        session ??= await signIn(demand, 'fuzz.session', sessionPassword);
        const token = session;
        if (operation === 'signOut') session = undefined;
        return token;
      }
      return admin;
    },
  };
}
