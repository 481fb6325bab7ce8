import { eventually } from '@kohort/testkit/eventually.ts';
import { call, demand, fieldOf } from '@kohort/testkit/http.ts';

/** What the inputs are about: as much of everything as a caller can make. */
export interface World {
  readonly url: string;
  readonly token: string;
  /** Users whose attributes are as large as may be, each in all lists. */
  readonly users: number;
  readonly lists: readonly string[];
  /** A user in very many more lists, as an id. */
  readonly crowded: string;
}

export interface WorldSize {
  readonly users: number;
  readonly lists: number;
  readonly dynamic: number;
  /** Lists of the one user. */
  readonly crowdedLists: number;
}

const ndjson = { 'Content-Type': 'application/x-ndjson' };
/** What one call takes. */
const maxEntries = 1_000;
const externalId = (i: number) => `u${i}`;

/** Nearly 16 KiB, in the shape that makes conditions work hardest: one list of many lists, and one of many numbers. */
function largeAttributes(i: number): object {
  const usual = { n: i, company: { id: `c${i}` } };
  // Of many fields, each of its own, every fourth: they are what takes longest to write out.
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
  return { url, token, users: size.users, lists, crowded };
}
