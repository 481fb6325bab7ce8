import type { Role } from '@kohort/contract';
import sql from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import { selectPeople } from '../users/users.ts';

export interface AccountRow {
  readonly id: number;
  readonly username: string;
  readonly name: string | null;
  readonly role: Role;
  readonly disabled: boolean;
  readonly created_at: Date;
}

/** Names are looked up by themselves: a distributed database would read all users for a join with a page of accounts. */
async function withNames(db: Db, accounts: Omit<AccountRow, 'name'>[]): Promise<AccountRow[]> {
  const people = await selectPeople(
    db,
    accounts.map(({ id }) => id),
  );
  return accounts.map(({ id, username, ...rest }) => ({ id, username, name: people.get(id)?.name ?? null, ...rest }));
}

export async function listAccountsAfter(db: Db, after: number, limit: number): Promise<AccountRow[]> {
  const accounts = await db.query<Omit<AccountRow, 'name'>>(sql`
    SELECT a.user_id AS id, a.username, a.role, a.disabled, a.created_at
    FROM accounts a
    WHERE a.user_id > ${after} ORDER BY a.user_id LIMIT ${limit}`);
  return withNames(db, accounts);
}

/** Undefined keeps a value. */
export async function updateAccount(
  tx: Tx,
  id: number,
  { role, disabled }: { readonly role?: Role; readonly disabled?: boolean },
): Promise<AccountRow[]> {
  const changed = await tx.write<Omit<AccountRow, 'name'>>(sql`
    UPDATE accounts SET role = COALESCE(${role}, role), disabled = COALESCE(${disabled}, disabled)
    WHERE user_id = ${id}
    RETURNING user_id AS id, username, role, disabled, created_at`);
  return withNames(tx, changed);
}

export function deleteSessionsOf(tx: Tx, userId: number): Promise<object[]> {
  return tx.write(sql`DELETE FROM sessions WHERE user_id = ${userId}`);
}

/** Locks the account against changes until the transaction ends. */
export function findRoleForUpdate(tx: Tx, userId: number): Promise<{ role: Role }[]> {
  return tx.query<{ role: Role }>(sql`SELECT role FROM accounts WHERE user_id = ${userId} FOR UPDATE`);
}

/** Deletes the account and, by cascade, its sessions. */
export function deleteAccount(tx: Tx, userId: number): Promise<object[]> {
  return tx.write(sql`DELETE FROM accounts WHERE user_id = ${userId}`);
}
