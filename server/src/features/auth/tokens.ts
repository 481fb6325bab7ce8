import { errors, jwtVerify, SignJWT } from 'jose';

const algorithm = 'HS256';
const uuidForm = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export interface SessionClaims {
  readonly sessionId: string;
  readonly userId: number;
  /** Seconds since 1970. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

export interface Tokens {
  sign(claims: SessionClaims): Promise<string>;
  /** The claims of a token with a valid signature that has not expired. Undefined for everything else. */
  verify(token: string): Promise<SessionClaims | undefined>;
}

/** Decoders ignore the spare bits of the last character, so several texts decode to one token. Only the canonical one is accepted. */
function isCanonical(token: string): boolean {
  return token.split('.').every((part) => Buffer.from(part, 'base64url').toString('base64url') === part);
}

export function createTokens(secret: string): Tokens {
  const key = new TextEncoder().encode(secret);
  if (key.length < 32) throw new Error('the secret that signs tokens needs at least 32 bytes');
  return {
    sign: ({ sessionId, userId, issuedAt, expiresAt }) =>
      new SignJWT({ user_id: userId })
        .setProtectedHeader({ alg: algorithm, typ: 'JWT' })
        .setJti(sessionId)
        .setIssuedAt(issuedAt)
        .setExpirationTime(expiresAt)
        .sign(key),

    async verify(token) {
      if (!isCanonical(token)) return undefined;
      try {
        const { payload } = await jwtVerify(token, key, {
          algorithms: [algorithm],
          requiredClaims: ['iat', 'exp', 'user_id', 'jti'],
        });
        const { jti, user_id: userId, iat, exp } = payload;
        if (typeof jti !== 'string' || !uuidForm.test(jti)) return undefined;
        if (typeof userId !== 'number' || !Number.isSafeInteger(userId) || userId < 1) return undefined;
        if (iat === undefined || exp === undefined) return undefined;
        return { sessionId: jti, userId, issuedAt: iat, expiresAt: exp };
      } catch (error) {
        if (error instanceof errors.JOSEError) return undefined;
        throw error;
      }
    },
  };
}
