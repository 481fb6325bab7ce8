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
  insertAccount,
  isUsernameTaken,
  type ProfileRow,
  updatePassword,
} from './auth.sql.ts';
import { hashPassword, inHashingSlot, verifyPassword } from './hashing.ts';
import { refuseFlawed } from './password-policy.ts';
import { createSessions, type Sessions } from './sessions.ts';
import { deleteEndedThrottles } from './throttle.sql.ts';
import { accountSubject, admit, countFailure, countSignUp, forgetFailures, refuseBlocked } from './throttle.ts';

export interface AuthOptions {
  readonly db: Database;
  readonly mode: Mode;
  readonly jwtSecret: string;
  /** Seconds. */
  readonly tokenTtl: number;
  readonly signUp: 'open' | 'closed';
  readonly signUpRole: Role;
}

export interface SignUp {
  readonly name: string;
  readonly username: string;
  readonly password: string;
}

export interface SignIn {
  readonly username: string;
  readonly password: string;
}

export interface PasswordChange {
  readonly current_password: string;
  readonly new_password: string;
}

/** `address` is what attempts are counted against; see `addressSubject`. */
export interface Auth extends Pick<Sessions, 'authenticate' | 'known' | 'forgetUser' | 'forgetKey'> {
  signUp(asked: SignUp, address: string): Promise<{ id: number }>;
  signIn(asked: SignIn, address: string): Promise<{ token: string }>;
  signOut(caller: Caller): Promise<void>;
  me(caller: Caller): Promise<ProfileRow>;
  changePassword(caller: Caller, asked: PasswordChange, address: string): Promise<void>;
}

const USERNAME = new RegExp(contract.usernamePattern);
const CHALLENGE = { 'www-authenticate': 'Bearer realm="kohort"' };

/** Usernames are ASCII, so this lower case is the one of the unique index. Undefined: nobody can be called that. */
function loweredUsername(username: string): string | undefined {
  return USERNAME.test(username) ? username.toLowerCase() : undefined;
}

function signInFailed(): Problem {
  return new Problem('sign_in_failed', 'The username or the password is not right.', { headers: CHALLENGE });
}

function sessionOf({ userId, sessionId }: Caller): { userId: number; sessionId: string } {
  if (userId === undefined || sessionId === undefined) {
    throw new Problem('forbidden', 'This call is for accounts that signed in.');
  }
  return { userId, sessionId };
}

export function createAuth({ db, mode, jwtSecret, tokenTtl, signUp, signUpRole }: AuthOptions): Auth {
  const sessions = createSessions({ db, jwtSecret, tokenTtl });

  /** The account, if the password is its own. Whatever is wrong costs, counts and reads the same. */
  async function prove({ username, password }: SignIn, address: string): Promise<CredentialRow> {
    const lowered = loweredUsername(username);
    const subjects = { account: accountSubject(lowered ?? username), address };
    // Blocked attempts must not queue up before those that may be made; who gets a slot is looked at again.
    await refuseBlocked(db, subjects);
    return inHashingSlot(async () => {
      const alreadyCounted = await admit(db, subjects);
      const [credential] = lowered === undefined ? [] : await findCredential(db, lowered);
      const right = await verifyPassword(credential?.password_hash, password);
      if (!right || !credential || credential.disabled) {
        await countFailure(db, subjects, alreadyCounted);
        throw signInFailed();
      }
      await forgetFailures(db, subjects.account);
      return credential;
    });
  }

  return {
    authenticate: sessions.authenticate,
    known: sessions.known,
    forgetUser: sessions.forgetUser,
    forgetKey: sessions.forgetKey,

    async signUp({ name, username, password }, address) {
      if (signUp === 'closed') throw new Problem('sign_up_closed', 'This service does not take sign-ups.');
      await refuseFlawed('/body/password', password, mode);
      await countSignUp(db, address);
      const passwordHash = await inHashingSlot(() => hashPassword(password));
      const taken = () => new Problem('username_taken', 'This username is taken.');
      try {
        return await db.transaction(async (tx) => {
          // Looked up first, so that a taken username draws no user id.
          if (await isUsernameTaken(tx, username.toLowerCase())) throw taken();
          const { id } = await createUser(tx, { name });
          await insertAccount(tx, { userId: id, username, passwordHash, role: signUpRole });
          return { id };
        });
      } catch (error) {
        throw violatedConstraint(error) === 'accounts_username_key' ? taken() : error;
      }
    },

    async signIn(asked, address) {
      const credential = await prove(asked, address);
      const token = await sessions.open(credential);
      if (token === undefined) throw signInFailed();
      return { token };
    },

    async signOut(caller) {
      const { sessionId } = sessionOf(caller);
      try {
        await deleteSession(db, sessionId);
      } finally {
        sessions.forgetSession(sessionId);
      }
    },

    async me(caller) {
      const [profile] = await findProfile(db, sessionOf(caller).userId);
      if (!profile) throw new Problem('unauthenticated', 'This account is gone.', { headers: CHALLENGE });
      return profile;
    },

    async changePassword(caller, { current_password, new_password }, address) {
      const { userId, sessionId } = sessionOf(caller);
      await refuseFlawed('/body/new_password', new_password, mode);
      const [profile] = await findProfile(db, userId);
      if (!profile) throw signInFailed();
      const credential = await prove({ username: profile.username, password: current_password }, address);
      const newHash = await inHashingSlot(() => hashPassword(new_password));
      try {
        await db.transaction(async (tx) => {
          const [changed] = await updatePassword(tx, credential, newHash);
          if (!changed) throw signInFailed();
          await deleteOtherSessions(tx, userId, sessionId);
        });
      } finally {
        sessions.forgetUser(userId);
      }
    },
  };
}

/** Deletes what has ended and answers nothing any more. */
export async function sweepAuth(db: Db): Promise<void> {
  await deleteExpiredSessions(db);
  await deleteEndedThrottles(db);
}
