import { type Coalesced, coalesce } from '../../postgres/batch.ts';
import type { Db } from '../../postgres/database.ts';
import { type ApiKey, findApiKeys, isApiKey } from '../keys/keys.ts';
import { type CredentialRow, findSessions, insertSession, type SessionRow } from './auth.sql.ts';
import { Callers, type Known } from './callers.ts';
import type { Tokens } from './tokens.ts';

// A token revoked on another instance is revoked here within 1 s, including the time of the read.
const maxAgeMs = 700;
const capacity = 10_000;

/** Reads many tokens in one statement. */
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

/** The callers behind session tokens and API keys. */
export function callersOf(db: Db, tokens: Tokens): Callers {
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
      expiresAt: claims.expiresAt * 1000,
    };
  }

  async function identifyKey(token: string): Promise<Known | undefined> {
    const key = await readKey(token);
    return (
      key && {
        caller: {
          kind: 'key',
          role: key.role,
          userId: undefined,
          sessionId: undefined,
          keyId: key.id,
          tags: key.tags ?? undefined,
          origins: key.origins ?? undefined,
          actor: `key:${key.id}`,
        },
        expiresAt: key.expires_at?.getTime() ?? Number.POSITIVE_INFINITY,
      }
    );
  }

  return new Callers({
    read: (token) => (isApiKey(token) ? identifyKey(token) : identifySession(token)),
    capacity,
    maxAgeMs,
    now: () => Date.now(),
    elapsed: () => performance.now(),
  });
}

/** A token for the account. Undefined if its password has changed, or it was disabled, since the credential was read. */
export async function openSession(
  { db, tokens, tokenTtl }: { db: Db; tokens: Tokens; tokenTtl: number },
  credential: CredentialRow,
): Promise<string | undefined> {
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
}
