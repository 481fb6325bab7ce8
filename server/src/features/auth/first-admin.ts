import { randomBytes } from 'node:crypto';
import { ConfigError, type Mode } from '../../config.ts';
import type { Database } from '../../postgres/database.ts';
import { createUser, restartUserIds } from '../users/users.ts';
import { findAnyAccount, insertAccount, lockFirstAdmin } from './auth.sql.ts';
import { hashPassword, inHashingSlot } from './hashing.ts';
import { flawOf } from './password-policy.ts';

export interface FirstAdmin {
  readonly mode: Mode;
  /** Undefined: generate one. */
  readonly password: string | undefined;
}

/**
 * Creates the account `admin`, user id 1, if there is no account yet. Any number of instances may start at once: one creates it.
 * @returns the generated password, to be printed once. Undefined if none was generated.
 * @throws ConfigError if the given password breaks the rules of the mode, even when it is not needed.
 */
export async function ensureAdmin(db: Database, { mode, password }: FirstAdmin): Promise<string | undefined> {
  const flaw = password === undefined ? undefined : await flawOf(password, mode);
  if (flaw !== undefined) throw new ConfigError(`ADMIN_PASSWORD ${flaw}.`);
  const [account] = await findAnyAccount(db);
  if (account) return undefined;

  const chosen = password ?? randomBytes(18).toString('base64url');
  const passwordHash = await inHashingSlot(() => hashPassword(chosen));
  const isMade = await db.transaction(async (tx) => {
    await lockFirstAdmin(tx);
    const [faster] = await findAnyAccount(tx);
    if (faster) return false;
    await restartUserIds(tx);
    const { id } = await createUser(tx, { name: 'admin' }, 'system');
    await insertAccount(tx, { userId: id, username: 'admin', passwordHash, role: 'admin' });
    return true;
  });
  return isMade && password === undefined ? chosen : undefined;
}
