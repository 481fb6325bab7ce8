import { accounts as contract, invalid, parseId } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import type { AccountRow, Accounts } from './accounts.ts';

function onWire({ id, username, name, role, disabled, created_at }: AccountRow) {
  return { id, username, name, role, disabled, created_at: created_at.toISOString() };
}

export function accountRoutes({ route }: Router, accounts: Accounts): void {
  route(contract.listAccounts, async ({ query }) => {
    const page = await accounts.list(query);
    return { accounts: page.accounts.map(onWire), next_cursor: page.next_cursor };
  });

  route(contract.changeAccount, async ({ params, body }) => {
    const id = parseId(params.id);
    if (id === undefined) throw invalid('/path/id', 'is not an id');
    return onWire(await accounts.change(id, body));
  });
}
