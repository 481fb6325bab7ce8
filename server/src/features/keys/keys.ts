import { invalid, Problem, parseTime } from '@kohort/contract';
import { type Cursors, pageOf } from '../../paging/cursors.ts';
import type { Db } from '../../postgres/database.ts';
import {
  deleteKey,
  findBrowserOrigins,
  findKey,
  findKeysByHash,
  findValidKeys,
  insertKey,
  type KeyByHashRow,
  type KeyRole,
  type KeyRow,
  listKeysAfter,
} from './keys.sql.ts';
import { drawApiKey, hashApiKey } from './secret.ts';

export type { KeyRow } from './keys.sql.ts';
export { isApiKey } from './secret.ts';
export type ApiKey = KeyByHashRow;

export interface NewKey {
  readonly name: string;
  readonly role: KeyRole;
  readonly tags?: readonly string[] | null;
  readonly origins?: readonly string[] | null;
  readonly expires_at?: string | null;
}

/** An origin as browsers send it: a scheme, a host in lower case, and a port unless it is the scheme's default. */
function isOrigin(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return (url?.protocol === 'https:' || url?.protocol === 'http:') && url.origin === text;
}

/** A browser key is public, so its tags and origins must be listed. */
function refuseUnlimited({ role, tags, origins }: NewKey): void {
  if (role !== 'browser' && origins) throw invalid('/body/origins', 'are for browser keys only');
  if (role !== 'browser') return;
  if (!tags) throw invalid('/body/tags', 'must be given for a browser key');
  if (!origins) throw invalid('/body/origins', 'must be given for a browser key');
  const wrong = origins.findIndex((origin) => !isOrigin(origin));
  if (wrong >= 0) throw invalid(`/body/origins/${wrong}`, 'must be an origin, such as https://shop.example');
}

/** The answer contains the key, which cannot be read again. */
export async function createKey(db: Db, asked: NewKey, createdBy: string): Promise<KeyRow & { key: string }> {
  const { name, role, tags = null, origins = null, expires_at } = asked;
  refuseUnlimited(asked);
  const expiresAt = expires_at == null ? null : parseTime(expires_at);
  if (expiresAt === undefined) throw invalid('/body/expires_at', 'must be an RFC 3339 time with an offset');
  const key = drawApiKey(role === 'browser' ? 'browser' : tags ? 'tagged' : 'plain');
  const [row] = await insertKey(db, { name, role, tags, origins, createdBy, hash: hashApiKey(key), expiresAt });
  if (!row) throw invalid('/body/expires_at', 'must be in the future');
  return { ...row, key };
}

export async function listKeys(
  { db, cursors }: { db: Db; cursors: Cursors },
  { limit = 100, cursor }: { limit?: number; cursor?: string },
): Promise<{ keys: KeyRow[]; next_cursor: string | null }> {
  const [after] = cursor === undefined ? [0] : cursors.decode('keys', cursor);
  const found = await listKeysAfter(db, Number(after), limit + 1);
  const { rows, next_cursor } = pageOf(found, limit, (last) => cursors.encode('keys', [last.id]));
  return { keys: rows, next_cursor };
}

export async function revokeKey(db: Db, id: number): Promise<void> {
  const [revoked] = await deleteKey(db, id);
  if (!revoked) throw new Problem('key_unknown', `There is no key ${id}.`);
}

/** The tags of a valid key. */
export async function tagsOfKey(db: Db, id: number): Promise<readonly string[] | undefined> {
  const [key] = await findKey(db, id);
  return key?.tags ?? undefined;
}

/** The ids among these whose keys are valid now. */
export async function validKeys(db: Db, ids: readonly number[]): Promise<ReadonlySet<number>> {
  if (ids.length === 0) return new Set();
  return new Set((await findValidKeys(db, ids)).map(({ id }) => id));
}

/** The origins from which any browser key may be used. */
export async function browserOrigins(db: Db): Promise<ReadonlySet<string>> {
  return new Set((await findBrowserOrigins(db)).map(({ origin }) => origin));
}

/** The keys among these that are valid now. */
export async function findApiKeys(db: Db, keys: readonly string[]): Promise<ReadonlyMap<string, ApiKey>> {
  const hashes = keys.map(hashApiKey);
  const byHash = new Map((await findKeysByHash(db, hashes)).map((row) => [row.key_hash.toString('hex'), row]));
  return new Map(
    keys.flatMap((key, i) => {
      const row = byHash.get(hashes[i]?.toString('hex') ?? '');
      return row ? [[key, row] as const] : [];
    }),
  );
}
