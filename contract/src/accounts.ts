import Type from 'typebox';
import { RoleName } from './auth.ts';
import { idParams, NextCursor, nullable, page, strict, Time, UserId } from './common.ts';
import { endpoint } from './endpoint.ts';

export const Account = strict({
  id: UserId,
  username: Type.String(),
  name: nullable(Type.String()),
  role: RoleName,
  disabled: Type.Boolean(),
  created_at: Time,
});

export const listAccounts = endpoint({
  method: 'GET',
  path: '/api/accounts',
  id: 'listAccounts',
  tag: 'accounts',
  summary: 'Accounts, ordered by id',
  access: 'admin',
  query: strict(page),
  success: { status: 200, body: strict({ accounts: Type.Array(Account), next_cursor: NextCursor }) },
});

export const changeAccount = endpoint({
  method: 'PATCH',
  path: '/api/accounts/{id}',
  id: 'changeAccount',
  tag: 'accounts',
  summary: 'Change the role of an account, disable or enable it',
  access: 'admin',
  params: idParams,
  body: strict({ role: Type.Optional(RoleName), disabled: Type.Optional(Type.Boolean()) }),
  success: { status: 200, body: Account },
  problems: ['account_unknown', 'last_admin'],
});
