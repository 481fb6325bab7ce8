import { randomUUID } from 'node:crypto';
import { SignJWT, UnsecuredJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { createTokens } from './tokens.ts';

const SECRET = 'a secret for the tests, 32 bytes and more';
const OTHER = 'another secret for the tests, also long enough';
const bytes = (secret: string) => new TextEncoder().encode(secret);
const tokens = createTokens(SECRET);
const now = Math.floor(Date.now() / 1000);
const claims = { sessionId: randomUUID(), userId: 2, issuedAt: now, expiresAt: now + 3_600 };

function forge(change: { payload?: object; alg?: string; secret?: string } = {}): Promise<string> {
  const payload = { user_id: 2, jti: claims.sessionId, iat: now, exp: now + 3_600, ...change.payload };
  return new SignJWT(JSON.parse(JSON.stringify(payload)))
    .setProtectedHeader({ alg: change.alg ?? 'HS256' })
    .sign(bytes(change.secret ?? SECRET));
}

describe('session tokens', () => {
  it('are HS256 and carry iat, exp, user_id and jti', async () => {
    const token = await tokens.sign(claims);
    const [header, payload] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString());
    expect(JSON.parse(header ?? '')).toEqual({ alg: 'HS256', typ: 'JWT' });
    expect(JSON.parse(payload ?? '')).toEqual({ user_id: 2, jti: claims.sessionId, iat: now, exp: now + 3_600 });
    expect(await tokens.verify(token)).toEqual(claims);
  });

  it('are accepted however they were forged with the right secret, as the control of the next test', async () => {
    expect(await tokens.verify(await forge())).toEqual(claims);
  });

  it.each<[string, () => Promise<string> | string]>([
    ['alg none', () => new UnsecuredJWT({ user_id: 2, jti: claims.sessionId, iat: now, exp: now + 3_600 }).encode()],
    ['another secret', () => forge({ secret: OTHER })],
    ['HS384', () => forge({ alg: 'HS384', secret: SECRET.repeat(2) })],
    ['HS512 with the right secret', () => forge({ alg: 'HS512', secret: SECRET })],
    ['no exp', () => forge({ payload: { exp: undefined } })],
    ['no iat', () => forge({ payload: { iat: undefined } })],
    ['no jti', () => forge({ payload: { jti: undefined } })],
    ['no user_id', () => forge({ payload: { user_id: undefined } })],
    ['expired', () => forge({ payload: { iat: now - 60, exp: now - 1 } })],
    ['not yet valid', () => forge({ payload: { nbf: now + 3_600 } })],
    ['jti that is no uuid', () => forge({ payload: { jti: "' OR true" } })],
    ['user_id of another type', () => forge({ payload: { user_id: '2' } })],
    ['user_id that is no id', () => forge({ payload: { user_id: 1.5 } })],
    ['nothing', () => ''],
    ['dots', () => '..'],
    ['garbage', () => 'x'.repeat(9000)],
  ])('are refused: %s', async (_, make) => {
    expect(await tokens.verify(await make())).toBeUndefined();
  });

  it('are refused with any character of theirs changed', async () => {
    const token = await tokens.sign(claims);
    for (let i = 0; i < token.length; i++) {
      const changed = `${token.slice(0, i)}${token[i] === 'A' ? 'B' : 'A'}${token.slice(i + 1)}`;
      expect(await tokens.verify(changed), `character ${i}`).toBeUndefined();
    }
  });

  it('are refused in every other writing of the same bytes', async () => {
    const token = await tokens.sign(claims);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const good = [];
    for (const last of alphabet) if (await tokens.verify(token.slice(0, -1) + last)) good.push(last);
    expect(good).toEqual([token.at(-1)]);
    expect(await tokens.verify(`${token}=`)).toBeUndefined();
  });

  it('need a secret of 32 bytes', () => {
    expect(() => createTokens('jbfj5jbh6hgj5')).toThrow(/32 bytes/);
  });
});
