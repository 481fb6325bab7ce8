import { auth as contract, Problem, type Role } from '@kohort/contract';
import type { Mode } from '../../config.ts';
import type { Caller } from '../../http/caller.ts';
import type { Database, Db } from '../../postgres/database.ts';
import { violatedConstraint } from '../../postgres/errors.ts';
import { createUser } from '../users/users.ts';
import {
  type CredentialRow,
  deleteExpiredSessions,
  deleteOtherSessions,
  deleteSession,
  findCredential,
  findProfile,
  findSessions,
  insertAccount,
  isUsernameTaken,
  type ProfileRow,
  updatePassword,
} from './auth.sql.ts';
import type { Callers } from './callers.ts';
import { hashPassword, inHashingSlot, verifyPassword } from './hashing.ts';
import { refuseFlawed } from './password-policy.ts';
import { callersOf, openSession } from './sessions.ts';
import { deleteEndedThrottles } from './throttle.sql.ts';
import { accountSubject, admit, countFailure, countSignUp, forgetFailures, refuseBlocked } from './throttle.ts';
import { createTokens, type Tokens } from './tokens.ts';

export { ensureAdmin } from './first-admin.ts';

export interface AuthOptions {
  readonly db: Database;
  readonly mode: Mode;
  readonly jwtSecret: string;
  /** Seconds. */
  readonly tokenTtl: number;
  readonly signUp: 'open' | 'closed';
  readonly signUpRole: Role;
}

export interface AuthContext extends Omit<AuthOptions, 'jwtSecret'> {
  readonly tokens: Tokens;
  readonly callers: Callers;
}

export function authContext({ db, mode, jwtSecret, tokenTtl, signUp, signUpRole }: AuthOptions): AuthContext {
  const tokens = createTokens(jwtSecret);
  return { db, mode, tokenTtl, signUp, signUpRole, tokens, callers: callersOf(db, tokens) };
}

/** Drops the cached tokens of a user, so that the next call with one of them reads it again. */
export function forgetUser({ callers }: AuthContext, userId: number): void {
  callers.forget(({ caller }) => caller.userId === userId);
}

export function forgetKey({ callers }: AuthContext, id: number): void {
  callers.forget(({ caller }) => caller.keyId === id);
}

const usernameForm = new RegExp(contract.usernamePattern);
const challenge = { 'www-authenticate': 'Bearer realm="kohort"' };

/** Usernames are ASCII, so this equals the lower case of the unique index. Undefined if no account can have this name. */
function loweredUsername(username: string): string | undefined {
  return usernameForm.test(username) ? username.toLowerCase() : undefined;
}

function signInFailed(): Problem {
  return new Problem('sign_in_failed', 'Wrong username or password.', { headers: challenge });
}

function sessionOf({ userId, sessionId }: Caller): { userId: number; sessionId: string } {
  if (userId === undefined || sessionId === undefined) {
    throw new Problem('forbidden', 'This call is for accounts that have signed in.');
  }
  return { userId, sessionId };
}

/**
 * The account, if the password is right. Every failure costs the same time, counts the same and has the same message.
 * @param address what attempts are counted against; see `addressSubject`.
 */
async function prove({ db }: AuthContext, { username, password }: SignIn, address: string): Promise<CredentialRow> {
  const lowered = loweredUsername(username);
  const subjects = { account: accountSubject(lowered ?? username), address };
  // Blocked attempts are refused before they queue, so that they do not delay others, and checked again in their slot.
  await refuseBlocked(db, subjects);
  return inHashingSlot(async () => {
    const alreadyCounted = await admit(db, subjects);
    const [credential] = lowered === undefined ? [] : await findCredential(db, lowered);
    const isRight = await verifyPassword(credential?.password_hash, password);
    if (!isRight || !credential || credential.disabled) {
      await countFailure(db, subjects, alreadyCounted);
      throw signInFailed();
    }
    await forgetFailures(db, subjects.account);
    return credential;
  });
}

export interface SignUp {
  readonly name: string;
  readonly username: string;
  readonly password: string;
}

export async function signUp(
  { db, mode, signUp: policy, signUpRole }: AuthContext,
  { name, username, password }: SignUp,
  address: string,
): Promise<{ id: number }> {
  if (policy === 'closed') throw new Problem('sign_up_closed', 'Sign-up is closed on this service.');
  await refuseFlawed('/body/password', password, mode);
  await countSignUp(db, address);
  const passwordHash = await inHashingSlot(() => hashPassword(password));
  const taken = () => new Problem('username_taken', 'This username is taken.');
  try {
    return await db.transaction(async (tx) => {
      // Looked up first, so that a taken username draws no user id.
      if (await isUsernameTaken(tx, username.toLowerCase())) throw taken();
      const { id } = await createUser(tx, { name }, 'anonymous');
      await insertAccount(tx, { userId: id, username, passwordHash, role: signUpRole });
      return { id };
    });
  } catch (error) {
    throw violatedConstraint(error) === 'accounts_username_key' ? taken() : error;
  }
}

export interface SignIn {
  readonly username: string;
  readonly password: string;
}

export async function signIn(context: AuthContext, asked: SignIn, address: string): Promise<{ token: string }> {
  const token = await openSession(context, await prove(context, asked, address));
  if (token === undefined) throw signInFailed();
  return { token };
}

export async function signOut({ db, callers }: AuthContext, caller: Caller): Promise<void> {
  const { sessionId } = sessionOf(caller);
  try {
    await deleteSession(db, sessionId);
  } finally {
    callers.forget((known) => known.caller.sessionId === sessionId);
  }
}

export async function profileOf({ db }: AuthContext, caller: Caller): Promise<ProfileRow> {
  const [profile] = await findProfile(db, sessionOf(caller).userId);
  if (!profile) throw new Problem('unauthenticated', 'This account no longer exists.', { headers: challenge });
  return profile;
}

export interface PasswordChange {
  readonly current_password: string;
  readonly new_password: string;
}

/** Ends every other session of the account. */
export async function changePassword(
  context: AuthContext,
  caller: Caller,
  { current_password, new_password }: PasswordChange,
  address: string,
): Promise<void> {
  const { db, mode } = context;
  const { userId, sessionId } = sessionOf(caller);
  await refuseFlawed('/body/new_password', new_password, mode);
  const [profile] = await findProfile(db, userId);
  if (!profile) throw signInFailed();
  const credential = await prove(context, { username: profile.username, password: current_password }, address);
  const newHash = await inHashingSlot(() => hashPassword(new_password));
  try {
    await db.transaction(async (tx) => {
      const [changed] = await updatePassword(tx, credential, newHash);
      if (!changed) throw signInFailed();
      await deleteOtherSessions(tx, userId, sessionId);
    });
  } finally {
    forgetUser(context, userId);
  }
}

/** The sessions among these that are valid now and belong to accounts that may read everything. */
export async function validReaders(db: Db, sessionIds: readonly string[]): Promise<ReadonlySet<string>> {
  if (sessionIds.length === 0) return new Set();
  const sessions = await findSessions(db, sessionIds);
  return new Set(sessions.filter(({ role }) => role !== 'member').map(({ id }) => id));
}

/** Deletes expired sessions and throttles. */
export async function sweepAuth(db: Db): Promise<void> {
  await deleteExpiredSessions(db);
  await deleteEndedThrottles(db);
}
