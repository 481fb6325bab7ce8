import type { Role } from '@kohort/contract';
import sql from 'sql-template-tag';
import { advisoryLocks } from '../../postgres/advisory-locks.ts';
import type { Db, Tx } from '../../postgres/database.ts';
import { named } from '../../postgres/statement.ts';
import { selectPeople } from '../users/users.ts';

export interface CredentialRow {
  readonly user_id: number;
  readonly username: string;
  readonly password_hash: string;
  readonly disabled: boolean;
}

/** The argument is the username in lower case. */
export async function isUsernameTaken(db: Db, lowered: string): Promise<boolean> {
  return (await db.query(sql`SELECT FROM accounts WHERE lower(username) = ${lowered}`)).length > 0;
}

export async function insertAccount(
  tx: Tx,
  account: {
    readonly userId: number;
    readonly username: string;
    readonly passwordHash: string;
    readonly role: Role;
  },
): Promise<void> {
  await tx.write(sql`
    INSERT INTO accounts (user_id, username, password_hash, role)
    VALUES (${account.userId}, ${account.username}, ${account.passwordHash}, ${account.role})`);
}

export function findCredential(db: Db, lowered: string): Promise<CredentialRow[]> {
  return db.query<CredentialRow>(
    named(
      'auth-credential',
      sql`
    SELECT user_id, username, password_hash, disabled FROM accounts WHERE lower(username) = ${lowered}`,
    ),
  );
}

/** Opens a session if the password is still the one that was checked. The lock waits for a concurrent change. */
export function insertSession(
  db: Db,
  { user_id, password_hash }: CredentialRow,
  ttl: number,
): Promise<{ id: string; expires_at: number }[]> {
  return db.write<{ id: string; expires_at: number }>(
    named(
      'auth-open-session',
      sql`
    INSERT INTO sessions (id, user_id, expires_at)
    SELECT gen_random_uuid(), user_id, date_trunc('second', statement_timestamp()) + make_interval(secs => ${ttl}::int)
    FROM accounts
    WHERE user_id = ${user_id} AND password_hash = ${password_hash} AND NOT disabled
    FOR SHARE
    RETURNING id, EXTRACT(EPOCH FROM expires_at) AS expires_at`,
    ),
  );
}

export interface SessionRow {
  readonly id: string;
  readonly user_id: number;
  readonly role: Role;
}

/** The sessions among these that are valid now. */
export function findSessions(db: Db, ids: readonly string[]): Promise<SessionRow[]> {
  return db.query<SessionRow>(
    named(
      'auth-sessions',
      sql`
    SELECT sessions.id, sessions.user_id, accounts.role
    FROM sessions JOIN accounts USING (user_id)
    WHERE sessions.id = ANY (${ids}::uuid[]) AND sessions.expires_at > statement_timestamp() AND NOT accounts.disabled`,
    ),
  );
}

export function deleteSession(db: Db, id: string): Promise<object[]> {
  return db.write(sql`DELETE FROM sessions WHERE id = ${id}`);
}

export function deleteOtherSessions(tx: Tx, userId: number, kept: string): Promise<object[]> {
  return tx.write(sql`DELETE FROM sessions WHERE user_id = ${userId} AND id <> ${kept}`);
}

export function deleteExpiredSessions(db: Db): Promise<object[]> {
  return db.write(sql`DELETE FROM sessions WHERE expires_at <= statement_timestamp()`);
}

export interface ProfileRow {
  readonly id: number;
  readonly username: string;
  readonly name: string | null;
  readonly role: Role;
}

export async function findProfile(db: Db, userId: number): Promise<ProfileRow[]> {
  const [account] = await db.query<Omit<ProfileRow, 'name'>>(sql`
    SELECT a.user_id AS id, a.username, a.role FROM accounts a WHERE a.user_id = ${userId}`);
  const person = (await selectPeople(db, [userId])).get(userId);
  if (!account || !person) return [];
  const { id, username, role } = account;
  return [{ id, username, name: person.name, role }];
}

/** Returns no row if the password has changed since it was checked. */
export function updatePassword(
  tx: Tx,
  { user_id, password_hash }: CredentialRow,
  newHash: string,
): Promise<{ user_id: number }[]> {
  return tx.write<{ user_id: number }>(sql`
    UPDATE accounts SET password_hash = ${newHash}
    WHERE user_id = ${user_id} AND password_hash = ${password_hash} AND NOT disabled
    RETURNING user_id`);
}

export function lockFirstAdmin(tx: Tx): Promise<object[]> {
  return tx.query(sql`SELECT pg_advisory_xact_lock(${advisoryLocks.firstAdmin})`);
}

export function findAnyAccount(db: Db): Promise<{ user_id: number }[]> {
  return db.query<{ user_id: number }>(sql`SELECT user_id FROM accounts LIMIT 1`);
}
