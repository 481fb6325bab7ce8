import { Problem, type Role } from '@kohort/contract';
import { type Cursors, pageOf } from '../../paging/cursors.ts';
import type { Database, Db, Tx } from '../../postgres/database.ts';
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

/** Maps the error of the trigger that keeps the last admin to a problem; returns other errors unchanged. */
function lastAdminProblem(error: unknown): unknown {
  return violatedConstraint(error) === 'accounts_last_admin'
    ? new Problem('last_admin', 'This is the last admin who can sign in. Create another one first.')
    : error;
}

export async function listAccounts(
  { db, cursors }: { db: Db; cursors: Cursors },
  { limit = 100, cursor }: { limit?: number; cursor?: string },
): Promise<{ accounts: AccountRow[]; next_cursor: string | null }> {
  const [after] = cursor === undefined ? [0] : cursors.decode('accounts', cursor);
  const found = await listAccountsAfter(db, Number(after), limit + 1);
  const { rows, next_cursor } = pageOf(found, limit, (last) => cursors.encode('accounts', [last.id]));
  return { accounts: rows, next_cursor };
}

export async function changeAccount(
  db: Database,
  id: number,
  change: { role?: Role; disabled?: boolean },
): Promise<AccountRow> {
  try {
    return await db.transaction(async (tx) => {
      const [account] = await updateAccount(tx, id, change);
      if (!account) throw new Problem('account_unknown', `There is no account ${id}.`);
      // A second statement, so that it sees sessions that were being opened while the update waited for them.
      if (account.disabled) await deleteSessionsOf(tx, id);
      return account;
    });
  } catch (error) {
    throw lastAdminProblem(error);
  }
}

/** Part of erasing a user, who may have no account. Only an admin may erase an account of another role than `member`. */
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
