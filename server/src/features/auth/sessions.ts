import type { Authenticate, Caller } from '../../http/caller.ts';
import { type Coalesced, coalesce } from '../../postgres/batch.ts';
import type { Database } from '../../postgres/database.ts';
import { type ApiKey, findApiKeys, isApiKey } from '../keys/keys.ts';
import { type CredentialRow, findSessions, insertSession, type SessionRow } from './auth.sql.ts';
import { createCallers, type Known } from './callers.ts';
import { createTokens } from './tokens.ts';

// Revoked elsewhere is revoked here within 1 s, the time of the read included.
const MAX_AGE = 700;
const CAPACITY = 10_000;

export interface SessionsOptions {
  readonly db: Database;
  readonly jwtSecret: string;
  /** Seconds. */
  readonly tokenTtl: number;
}

export interface Sessions {
  readonly authenticate: Authenticate;
  /** From memory alone: undefined also for a good token that has to be read again. */
  readonly known: (token: string) => Caller | undefined;
  /** A token for the account; undefined when its password changed or it was disabled since the credential was read. */
  open(credential: CredentialRow): Promise<string | undefined>;
  /** Whatever was revoked or changed through this instance is told here, and counts from its next call on. */
  forgetUser(userId: number): void;
  forgetSession(sessionId: string): void;
  forgetKey(keyId: number): void;
}

/** Session tokens and API keys: who a bearer token stands for. */
export function createSessions({ db, jwtSecret, tokenTtl }: SessionsOptions): Sessions {
  const tokens = createTokens(jwtSecret);

  /** Many tokens, one statement. */
  function readTogether<Row>(
    find: (asks: readonly string[]) => Promise<ReadonlyMap<string, Row>>,
  ): Coalesced<string, Row | undefined> {
    return coalesce({
      run: async (asks) => {
        const found = await find(asks);
        return asks.map((ask) => found.get(ask));
      },
      maxBatch: 256,
      concurrency: 2,
      maxWaiting: 10_000,
    });
  }
  const readSession = readTogether<SessionRow>(
    async (ids) => new Map((await findSessions(db, ids)).map((row) => [row.id, row])),
  );
  const readKey = readTogether<ApiKey>((keys) => findApiKeys(db, keys));

  async function identifySession(token: string): Promise<Known | undefined> {
    const claims = await tokens.verify(token);
    const session = claims && (await readSession(claims.sessionId));
    if (!session || session.user_id !== claims.userId) return undefined;
    return {
      caller: {
        kind: 'session',
        role: session.role,
        userId: session.user_id,
        sessionId: session.id,
        actor: `user:${session.user_id}`,
      },
      keyId: undefined,
      expiresAt: claims.expiresAt * 1000,
    };
  }

  async function identifyKey(token: string): Promise<Known | undefined> {
    const key = await readKey(token);
    return (
      key && {
        caller: { kind: 'key', role: key.role, userId: undefined, sessionId: undefined, actor: `key:${key.id}` },
        keyId: key.id,
        expiresAt: key.expires_at?.getTime() ?? Number.POSITIVE_INFINITY,
      }
    );
  }

  const callers = createCallers({
    read: (token) => (isApiKey(token) ? identifyKey(token) : identifySession(token)),
    capacity: CAPACITY,
    maxAge: MAX_AGE,
    now: () => Date.now(),
    elapsed: () => performance.now(),
  });

  return {
    authenticate: callers.authenticate,
    known: callers.known,
    async open(credential) {
      const [session] = await insertSession(db, credential, tokenTtl);
      return (
        session &&
        tokens.sign({
          sessionId: session.id,
          userId: credential.user_id,
          issuedAt: session.expires_at - tokenTtl,
          expiresAt: session.expires_at,
        })
      );
    },
    forgetUser: (userId) => callers.forget(({ caller }) => caller.userId === userId),
    forgetSession: (sessionId) => callers.forget(({ caller }) => caller.sessionId === sessionId),
    forgetKey: (id) => callers.forget(({ keyId }) => keyId === id),
  };
}
