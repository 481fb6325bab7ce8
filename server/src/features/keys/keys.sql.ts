import sql from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';
import { named } from '../../postgres/statement.ts';

export type KeyRole = 'viewer' | 'editor' | 'browser';

export interface KeyRow {
  readonly id: number;
  readonly name: string;
  readonly role: KeyRole;
  readonly tags: string[] | null;
  readonly origins: string[] | null;
  readonly created_by: string | null;
  readonly created_at: Date;
  readonly expires_at: Date | null;
}

const columns = sql`id, name, role, tags, origins, created_by, created_at, expires_at`;

/** Returns no row if the expiry is not in the future. */
export function insertKey(
  db: Db,
  key: {
    readonly name: string;
    readonly role: KeyRole;
    readonly tags: readonly string[] | null;
    readonly origins: readonly string[] | null;
    readonly createdBy: string;
    readonly hash: Buffer;
    readonly expiresAt: Date | null;
  },
): Promise<KeyRow[]> {
  return db.write<KeyRow>(sql`
    INSERT INTO api_keys (name, role, tags, origins, created_by, key_hash, expires_at)
    SELECT ${key.name}, ${key.role}, ${key.tags}::text[], ${key.origins}::text[], ${key.createdBy}, ${key.hash}::bytea,
      ${key.expiresAt}::timestamptz
    WHERE ${key.expiresAt}::timestamptz IS NULL OR ${key.expiresAt}::timestamptz > statement_timestamp()
    RETURNING ${columns}`);
}

export function listKeysAfter(db: Db, after: number, limit: number): Promise<KeyRow[]> {
  return db.query<KeyRow>(sql`
    SELECT ${columns} FROM api_keys
    WHERE id > ${after} ORDER BY id LIMIT ${limit}`);
}

export function deleteKey(db: Db, id: number): Promise<{ id: number }[]> {
  return db.write<{ id: number }>(sql`DELETE FROM api_keys WHERE id = ${id} RETURNING id`);
}

/** Returns no row if the key is not valid. */
export function findKey(db: Db, id: number): Promise<{ tags: string[] | null }[]> {
  return db.query<{ tags: string[] | null }>(sql`
    SELECT tags FROM api_keys WHERE id = ${id} AND (expires_at IS NULL OR expires_at > statement_timestamp())`);
}

/** The keys among these that are valid now. */
export function findValidKeys(db: Db, ids: readonly number[]): Promise<{ id: number }[]> {
  return db.query<{ id: number }>(sql`
    SELECT id FROM api_keys
    WHERE id = ANY (${ids}::bigint[]) AND (expires_at IS NULL OR expires_at > statement_timestamp())`);
}

/** The origins of all valid browser keys. */
export function findBrowserOrigins(db: Db): Promise<{ origin: string }[]> {
  return db.query<{ origin: string }>(sql`
    SELECT DISTINCT unnest(origins) AS origin FROM api_keys
    WHERE role = 'browser' AND (expires_at IS NULL OR expires_at > statement_timestamp())`);
}

export interface KeyByHashRow {
  readonly id: number;
  readonly role: KeyRole;
  readonly tags: string[] | null;
  readonly origins: string[] | null;
  readonly key_hash: Buffer;
  readonly expires_at: Date | null;
}

/** The keys among these that are valid now. */
export function findKeysByHash(db: Db, hashes: readonly Buffer[]): Promise<KeyByHashRow[]> {
  return db.query<KeyByHashRow>(
    named(
      'auth-keys',
      sql`
    SELECT id, role, tags, origins, key_hash, expires_at FROM api_keys
    WHERE key_hash = ANY (${hashes}::bytea[]) AND (expires_at IS NULL OR expires_at > statement_timestamp())`,
    ),
  );
}
