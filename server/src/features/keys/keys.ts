import { invalid, Problem, parseTime } from '@kohort/contract';
import { type Cursors, pageOf } from '../../paging/cursors.ts';
import type { Db } from '../../postgres/database.ts';
import {
  deleteKey,
  findKeysByHash,
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
  readonly expires_at?: string | null;
}

/** The key itself is in this answer and nowhere else. */
export async function createKey(db: Db, { name, role, expires_at }: NewKey): Promise<KeyRow & { key: string }> {
  const expiresAt = expires_at == null ? null : parseTime(expires_at);
  if (expiresAt === undefined) throw invalid('/body/expires_at', 'must be an RFC 3339 time with an offset');
  const key = drawApiKey();
  const [row] = await insertKey(db, { name, role, hash: hashApiKey(key), expiresAt });
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

/** Those of the keys that are valid now. */
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
