import { keys as contract, invalid, parseId } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import type { Once } from '../idempotency/idempotency.ts';
import type { KeyRow, Keys } from './keys.ts';

function onWire({ id, name, role, created_at, expires_at }: KeyRow) {
  return { id, name, role, created_at: created_at.toISOString(), expires_at: expires_at?.toISOString() ?? null };
}

export function keyRoutes({ route }: Router, keys: Keys, once: Once): void {
  route(contract.createKey, ({ body, idempotent, reply }) => {
    // Shown this once: no cache on the way may show it again.
    reply.header('cache-control', 'no-store');
    return once(idempotent, async (db) => {
      const created = await keys.create(db, body);
      return { ...onWire(created), key: created.key };
    });
  });

  route(contract.listKeys, async ({ query }) => {
    const page = await keys.list(query);
    return { keys: page.keys.map(onWire), next_cursor: page.next_cursor };
  });

  route(contract.revokeKey, async ({ params }) => {
    const id = parseId(params.id);
    if (id === undefined) throw invalid('/path/id', 'is not an id');
    await keys.revoke(id);
    return undefined;
  });
}
