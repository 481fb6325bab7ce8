import { users as contract, parseUserRef } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import type { Cursors } from '../../paging/cursors.ts';
import type { Database } from '../../postgres/database.ts';
import type { Once } from '../idempotency/idempotency.ts';
import { changeUser, createUser, eraseUser, listUsers, type OnErase, readUser, type UserRow } from './users.ts';

function onWire({ id, external_id, name, attributes, created_at }: UserRow) {
  return { id, external_id, name, attributes, created_at: created_at.toISOString() };
}

export interface UsersContext {
  readonly db: Database;
  readonly cursors: Cursors;
  readonly onErase: OnErase;
  /** Called after the erasure is committed. */
  readonly afterErase: (userId: number) => void;
}

export function userRoutes({ route }: Router, context: UsersContext, once: Once): void {
  const { db } = context;
  route(contract.createUser, ({ body, idempotent, caller }) =>
    once(idempotent, (within) => createUser(within, body, caller.actor)),
  );

  route(contract.listUsers, async ({ query }) => {
    const page = await listUsers(context, query);
    return { users: page.users.map(onWire), next_cursor: page.next_cursor };
  });

  route(contract.readUser, async ({ params }) => onWire(await readUser(db, parseUserRef(params.user))));

  route(contract.changeUser, async ({ params, body, caller }) =>
    onWire(await changeUser(db, parseUserRef(params.user), body, caller.actor)),
  );

  route(contract.eraseUser, async ({ params, caller }) => {
    const { id } = await eraseUser(context, parseUserRef(params.user), {
      actor: caller.actor,
      isAdmin: caller.role === 'admin',
    });
    context.afterErase(id);
    return undefined;
  });
}
