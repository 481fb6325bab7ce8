import { accounts as contract, invalid, parseId } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import type { Cursors } from '../../paging/cursors.ts';
import type { Database } from '../../postgres/database.ts';
import { type AccountRow, changeAccount, listAccounts } from './accounts.ts';

function onWire({ id, username, name, role, disabled, created_at }: AccountRow) {
  return { id, username, name, role, disabled, created_at: created_at.toISOString() };
}

export interface AccountsContext {
  readonly db: Database;
  readonly cursors: Cursors;
  /** Drops the cached tokens of a user. */
  readonly forgetUser: (userId: number) => void;
}

export function accountRoutes({ route }: Router, context: AccountsContext): void {
  route(contract.listAccounts, async ({ query }) => {
    const page = await listAccounts(context, query);
    return { accounts: page.accounts.map(onWire), next_cursor: page.next_cursor };
  });

  route(contract.changeAccount, async ({ params, body }) => {
    const id = parseId(params.id);
    if (id === undefined) throw invalid('/path/id', 'is not an id');
    try {
      return onWire(await changeAccount(context.db, id, body));
    } finally {
      context.forgetUser(id);
    }
  });
}
