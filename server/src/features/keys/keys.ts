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

export interface KeysOptions {
  readonly db: Db;
  readonly cursors: Cursors;
  /** Told which key is no good any more. */
  readonly forgetKey: (id: number) => void;
}

export interface NewKey {
  readonly name: string;
  readonly role: KeyRole;
  readonly expires_at?: string | null;
}

export interface Keys {
  /** The key itself is in this answer and nowhere else. */
  create(within: Db, asked: NewKey): Promise<KeyRow & { key: string }>;
  list(page: { limit?: number; cursor?: string }): Promise<{ keys: KeyRow[]; next_cursor: string | null }>;
  revoke(id: number): Promise<void>;
}

export function createKeys({ db, cursors, forgetKey }: KeysOptions): Keys {
  return {
    async create(within, { name, role, expires_at }) {
      const expiresAt = expires_at == null ? null : parseTime(expires_at);
      if (expiresAt === undefined) throw invalid('/body/expires_at', 'must be an RFC 3339 time with an offset');
      const key = drawApiKey();
      const [row] = await insertKey(within, { name, role, hash: hashApiKey(key), expiresAt });
      if (!row) throw invalid('/body/expires_at', 'must be in the future');
      return { ...row, key };
    },

    async list({ limit = 100, cursor }) {
      const [after] = cursor === undefined ? [0] : cursors.decode('keys', cursor);
      const found = await listKeysAfter(db, Number(after), limit + 1);
      const { rows, next_cursor } = pageOf(found, limit, (last) => cursors.encode('keys', [last.id]));
      return { keys: rows, next_cursor };
    },

    async revoke(id) {
      try {
        const [revoked] = await deleteKey(db, id);
        if (!revoked) throw new Problem('key_unknown', `There is no key ${id}.`);
      } finally {
        forgetKey(id);
      }
    },
  };
}

/** The keys that are good now, by the key itself. */
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
