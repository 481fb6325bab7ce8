import Type from 'typebox';
import { RoleName } from './auth.ts';
import { idParams, NextCursor, nullable, page, strict, Time, UserId } from './common.ts';
import { endpoint } from './endpoint.ts';

export const Account = strict(
  {
    id: UserId,
    username: Type.String(),
    name: nullable(Type.String()),
    role: RoleName,
    disabled: Type.Boolean({ description: 'Whether it is barred from signing in.' }),
    created_at: Time,
  },
  { title: 'Account', description: 'The sign-in of a user, and its role. Its id is the id of the user.' },
);

export const listAccounts = endpoint({
  method: 'GET',
  path: '/api/accounts',
  id: 'listAccounts',
  tag: 'accounts',
  summary: 'Accounts, ordered by id',
  access: 'admin',
  query: strict(page),
  success: {
    status: 200,
    body: strict({ accounts: Type.Array(Account), next_cursor: NextCursor }, { title: 'AccountPage' }),
  },
  example: {
    query: { limit: 100 },
    answer: {
      accounts: [
        {
          id: 1,
          username: 'admin',
          name: 'admin',
          role: 'admin',
          disabled: false,
          created_at: '2026-11-26T08:00:00.000Z',
        },
        {
          id: 2,
          username: 'ann',
          name: 'Ann',
          role: 'member',
          disabled: false,
          created_at: '2026-11-26T08:00:00.000Z',
        },
      ],
      next_cursor: null,
    },
  },
});

export const changeAccount = endpoint({
  method: 'PATCH',
  path: '/api/accounts/{id}',
  id: 'changeAccount',
  tag: 'accounts',
  summary: 'Change the role of an account, disable or enable it',
  access: 'admin',
  params: idParams('The id of the account.'),
  body: strict({ role: Type.Optional(RoleName), disabled: Type.Optional(Type.Boolean()) }),
  success: { status: 200, body: Account },
  problems: ['account_unknown', 'last_admin'],
  example: {
    params: { id: '2' },
    body: { role: 'editor' },
    answer: {
      id: 2,
      username: 'ann',
      name: 'Ann',
      role: 'editor',
      disabled: false,
      created_at: '2026-11-26T08:00:00.000Z',
    },
  },
});
