import { eventually } from '@kohort/testkit/eventually.ts';
import { call, demand, fieldOf } from '@kohort/testkit/http.ts';
import { type Fed, type FedSize, makeFed } from './fed.ts';

/** The data that the inputs refer to: as much of everything as a caller can create. */
export interface World {
  readonly url: string;
  /** The URLs of all instances, including that one. */
  readonly urls: readonly string[];
  readonly token: string;
  /** The key of another caller, who reads. */
  readonly otherKey: string;
  /** Users with the largest attributes allowed, each in all lists. */
  readonly users: number;
  readonly lists: readonly string[];
  /** The id of a user who is in many more lists. */
  readonly crowded: string;
  readonly fed: Fed;
}

export interface WorldSize {
  readonly users: number;
  readonly lists: number;
  readonly dynamic: number;
  /** The lists of that user. */
  readonly crowdedLists: number;
  readonly fed: FedSize;
}

const ndjson = { 'Content-Type': 'application/x-ndjson' };
/** The most that one call accepts. */
const maxEntries = 1_000;
const externalId = (i: number) => `u${i}`;

/** Nearly 16 KiB, in the shape that makes conditions work hardest: one list of many lists, and one of many numbers. */
function largeAttributes(i: number): object {
  const usual = { n: i, company: { id: `c${i}` } };
  // Every fourth has many distinct fields, which take longest to serialise.
  if (i % 4 === 3)
    return { ...usual, ...Object.fromEntries(Array.from({ length: 1_200 }, (_, k) => [`f${k}`, i + k])) };
  return {
    ...usual,
    numbers: Array.from({ length: 1_000 }, (_, k) => (i * 31 + k) % 9_973),
    lists: Array.from({ length: 900 }, (_, k) => [(i + k) % 997]),
  };
}

async function importFile(url: string, token: string, path: string, body: Blob): Promise<void> {
  const answer = await call(url, 'POST', path, { token, body: body as Blob, headers: ndjson });
  if (answer.status !== 202) throw new Error(`${path} answered ${answer.status}: ${answer.text}`);
  const job = fieldOf(JSON.parse(answer.text), 'job');
  const state = async () => fieldOf(await demand(url, 'GET', `/api/jobs/${job}`, { token }), 'state');
  await eventually(async () => ['done', 'failed'].includes(String(await state())), 120_000);
  if ((await state()) !== 'done') throw new Error(`${path} failed`);
}

async function makeCrowded(url: string, token: string, lists: number): Promise<string> {
  const id = fieldOf(await demand(url, 'POST', '/api/users', { token, body: { external_id: 'crowded' } }), 'id');
  for (let from = 0; from < lists; from += maxEntries) {
    const slugs = Array.from({ length: Math.min(maxEntries, lists - from) }, (_, i) => `C${from + i}`);
    const segments = slugs.map((slug) => ({ slug, version: null }));
    await demand(url, 'POST', '/api/definitions/apply', { token, body: { segments } });
    await demand(url, 'PATCH', `/api/users/${id}/segments`, { token, body: { add: slugs } });
  }
  return String(id);
}

export async function makeWorld(url: string, token: string, size: WorldSize): Promise<World> {
  const ids = Array.from({ length: size.users }, (_, i) => i);
  const users = ids.map((i) => JSON.stringify({ external_id: externalId(i), attributes: largeAttributes(i) }));
  await importFile(url, token, '/api/users/import', new Blob([users.join('\n')]));
  const lists = Array.from({ length: size.lists }, (_, i) => `L${String(i).padStart(4, '0')}`);
  for (const slug of lists) await demand(url, 'POST', '/api/segments', { token, body: { slug } });
  for (let i = 0; i < size.dynamic; i++) {
    const body = { slug: `D${i}`, percentage: 50, condition: { n: { $gte: i } } };
    await demand(url, 'POST', '/api/segments', { token, body });
  }
  for (const i of ids) {
    await demand(url, 'PATCH', `/api/users/ext:${externalId(i)}/segments`, { token, body: { add: lists } });
  }
  const crowded = await makeCrowded(url, token, size.crowdedLists);
  const fed = await makeFed(url, token, size.fed, size.users);
  const otherKey = String(
    fieldOf(await demand(url, 'POST', '/api/keys', { token, body: { name: 'other', role: 'viewer' } }), 'key'),
  );
  return { url, urls: [url], token, otherKey, users: size.users, lists, crowded, fed };
}
