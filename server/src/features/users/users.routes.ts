import { users as contract, parseUserRef } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import type { Once } from '../idempotency/idempotency.ts';
import type { UserRow, Users } from './users.ts';

function onWire({ id, external_id, name, attributes, created_at }: UserRow) {
  return { id, external_id, name, attributes, created_at: created_at.toISOString() };
}

export function userRoutes({ route }: Router, users: Users, once: Once, afterErase: (userId: number) => void): void {
  route(contract.createUser, ({ body, idempotent }) => once(idempotent, (db) => users.create(db, body)));

  route(contract.listUsers, async ({ query }) => {
    const page = await users.list(query);
    return { users: page.users.map(onWire), next_cursor: page.next_cursor };
  });

  route(contract.readUser, async ({ params }) => onWire(await users.read(parseUserRef(params.user))));

  route(contract.changeUser, async ({ params, body }) => onWire(await users.change(parseUserRef(params.user), body)));

  route(contract.eraseUser, async ({ params, caller }) => {
    const { id } = await users.erase(parseUserRef(params.user), {
      actor: caller.actor,
      isAdmin: caller.role === 'admin',
    });
    afterErase(id);
    return undefined;
  });
}
