import { Problem, type Role } from '@kohort/contract';
import { type Cursors, pageOf } from '../../paging/cursors.ts';
import type { Database, Tx } from '../../postgres/database.ts';
import { violatedConstraint } from '../../postgres/errors.ts';
import {
  type AccountRow,
  deleteAccount,
  deleteSessionsOf,
  findRoleForUpdate,
  listAccountsAfter,
  updateAccount,
} from './accounts.sql.ts';

export type { AccountRow } from './accounts.sql.ts';

export interface AccountsOptions {
  readonly db: Database;
  readonly cursors: Cursors;
  /** Told whose sessions must be looked at anew. */
  readonly forgetUser: (userId: number) => void;
}

export interface Accounts {
  list(page: { limit?: number; cursor?: string }): Promise<{ accounts: AccountRow[]; next_cursor: string | null }>;
  change(id: number, change: { role?: Role; disabled?: boolean }): Promise<AccountRow>;
}

/** The refusal of the trigger that keeps the last admin, as our own; any other error as it is. */
function lastAdminProblem(error: unknown): unknown {
  return violatedConstraint(error) === 'accounts_last_admin'
    ? new Problem('last_admin', 'This is the last admin who can sign in. Make another one first.')
    : error;
}

export function createAccounts({ db, cursors, forgetUser }: AccountsOptions): Accounts {
  return {
    async list({ limit = 100, cursor }) {
      const [after] = cursor === undefined ? [0] : cursors.decode('accounts', cursor);
      const found = await listAccountsAfter(db, Number(after), limit + 1);
      const { rows, next_cursor } = pageOf(found, limit, (last) => cursors.encode('accounts', [last.id]));
      return { accounts: rows, next_cursor };
    },

    async change(id, change) {
      try {
        return await db.transaction(async (tx) => {
          const [account] = await updateAccount(tx, id, change);
          if (!account) throw new Problem('account_unknown', `There is no account ${id}.`);
          // A statement of its own: it sees the sessions that were being opened while the update waited for them.
          if (account.disabled) await deleteSessionsOf(tx, id);
          return account;
        });
      } catch (error) {
        throw lastAdminProblem(error);
      } finally {
        forgetUser(id);
      }
    },
  };
}

/**
 * Part of erasing a user, who may have no account. Accounts are the admins' business: whoever else erases a user may only
 * take a member's along.
 */
export async function eraseAccount(tx: Tx, userId: number, isAdmin: boolean): Promise<void> {
  const [account] = await findRoleForUpdate(tx, userId);
  if (!account) return;
  if (account.role !== 'member' && !isAdmin) {
    throw new Problem('forbidden', `Only an admin may erase a user whose account has the role ${account.role}.`);
  }
  try {
    await deleteAccount(tx, userId);
  } catch (error) {
    throw lastAdminProblem(error);
  }
}
