import type { Role } from '@kohort/contract';
import sql from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';

export interface AccountRow {
  readonly id: number;
  readonly username: string;
  readonly name: string | null;
  readonly role: Role;
  readonly disabled: boolean;
  readonly created_at: Date;
}

export function listAccountsAfter(db: Db, after: number, limit: number): Promise<AccountRow[]> {
  return db.query<AccountRow>(sql`
    SELECT a.user_id AS id, a.username, u.name, a.role, a.disabled, a.created_at
    FROM accounts a LEFT JOIN users u ON u.id = a.user_id
    WHERE a.user_id > ${after} ORDER BY a.user_id LIMIT ${limit}`);
}

/** Undefined keeps. */
export function updateAccount(
  tx: Tx,
  id: number,
  { role, disabled }: { readonly role?: Role; readonly disabled?: boolean },
): Promise<AccountRow[]> {
  return tx.write<AccountRow>(sql`
    WITH changed AS (
      UPDATE accounts SET role = COALESCE(${role}, role), disabled = COALESCE(${disabled}, disabled)
      WHERE user_id = ${id}
      RETURNING user_id, username, role, disabled, created_at
    )
    SELECT a.user_id AS id, a.username, u.name, a.role, a.disabled, a.created_at
    FROM changed a LEFT JOIN users u ON u.id = a.user_id`);
}

export function deleteSessionsOf(tx: Tx, userId: number): Promise<object[]> {
  return tx.write(sql`DELETE FROM sessions WHERE user_id = ${userId}`);
}

/** Also keeps others from changing the account until the transaction ends. */
export function findRoleForUpdate(tx: Tx, userId: number): Promise<{ role: Role }[]> {
  return tx.query<{ role: Role }>(sql`SELECT role FROM accounts WHERE user_id = ${userId} FOR UPDATE`);
}

/** The sessions of the account go with it. */
export function deleteAccount(tx: Tx, userId: number): Promise<object[]> {
  return tx.write(sql`DELETE FROM accounts WHERE user_id = ${userId}`);
}
