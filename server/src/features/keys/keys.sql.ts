import sql from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';

export type KeyRole = 'viewer' | 'editor';

export interface KeyRow {
  readonly id: number;
  readonly name: string;
  readonly role: KeyRole;
  readonly created_at: Date;
  readonly expires_at: Date | null;
}

/** No row when the expiry is not in the future. */
export function insertKey(
  db: Db,
  key: { readonly name: string; readonly role: KeyRole; readonly hash: Buffer; readonly expiresAt: Date | null },
): Promise<KeyRow[]> {
  return db.write<KeyRow>(sql`
    INSERT INTO api_keys (name, role, key_hash, expires_at)
    SELECT ${key.name}, ${key.role}, ${key.hash}, ${key.expiresAt}::timestamptz
    WHERE ${key.expiresAt}::timestamptz IS NULL OR ${key.expiresAt}::timestamptz > statement_timestamp()
    RETURNING id, name, role, created_at, expires_at`);
}

export function listKeysAfter(db: Db, after: number, limit: number): Promise<KeyRow[]> {
  return db.query<KeyRow>(sql`
    SELECT id, name, role, created_at, expires_at FROM api_keys
    WHERE id > ${after} ORDER BY id LIMIT ${limit}`);
}

export function deleteKey(db: Db, id: number): Promise<{ id: number }[]> {
  return db.write<{ id: number }>(sql`DELETE FROM api_keys WHERE id = ${id} RETURNING id`);
}

export interface KeyByHashRow {
  readonly id: number;
  readonly role: KeyRole;
  readonly key_hash: Buffer;
  readonly expires_at: Date | null;
}

/** Those of the keys that are valid now. */
export function findKeysByHash(db: Db, hashes: readonly Buffer[]): Promise<KeyByHashRow[]> {
  return db.query<KeyByHashRow>(sql`
    SELECT id, role, key_hash, expires_at FROM api_keys
    WHERE key_hash = ANY (${hashes}::bytea[]) AND (expires_at IS NULL OR expires_at > statement_timestamp())`);
}
