import { keys as contract, invalid, parseId } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import type { Cursors } from '../../paging/cursors.ts';
import type { Db } from '../../postgres/database.ts';
import type { Once } from '../idempotency/idempotency.ts';
import { createKey, type KeyRow, listKeys, revokeKey } from './keys.ts';

function onWire({ created_at, expires_at, ...key }: KeyRow) {
  const { id, name, role, tags, origins, created_by } = key;
  return {
    id,
    name,
    role,
    tags,
    origins,
    created_by,
    created_at: created_at.toISOString(),
    expires_at: expires_at?.toISOString() ?? null,
  };
}

export interface KeysContext {
  readonly db: Db;
  readonly cursors: Cursors;
  /** Drops a key from the cache. */
  readonly forgetKey: (id: number) => void;
}

export function keyRoutes({ route }: Router, context: KeysContext, once: Once): void {
  route(contract.createKey, ({ body, caller, idempotent, reply }) => {
    // The answer contains the key, so no cache may keep it.
    reply.header('cache-control', 'no-store');
    return once(idempotent, async (db) => {
      const created = await createKey(db, body, caller.actor);
      return { ...onWire(created), key: created.key };
    });
  });

  route(contract.listKeys, async ({ query }) => {
    const page = await listKeys(context, query);
    return { keys: page.keys.map(onWire), next_cursor: page.next_cursor };
  });

  route(contract.revokeKey, async ({ params }) => {
    const id = parseId(params.id);
    if (id === undefined) throw invalid('/path/id', 'is not an id');
    try {
      await revokeKey(context.db, id);
    } finally {
      context.forgetKey(id);
    }
    return undefined;
  });
}
