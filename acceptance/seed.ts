import { type Answer, call } from '@kohort/testkit/http.ts';
import { expect } from 'vitest';

const JSON_TYPE = 'application/json; charset=utf-8';
const ok = (text: string) => ({ status: 200, type: JSON_TYPE, text });
const plain = ({ status, type, text }: Answer) => ({ status, type, text });

/** The seven calls, byte for byte; `token` is undefined in evaluation. */
export async function sevenCalls(url: string, token: () => string | undefined): Promise<void> {
  const ask = async (method: string, path: string, body?: string) =>
    plain(await call(url, method, path, { token: token(), ...(body !== undefined && { body }) }));

  expect(
    plain(
      await call(url, 'POST', '/auth/sign-up', { body: '{"name":"Ivan","username":"ivan","password":"qwerty-12345"}' }),
    ),
  ).toEqual(ok('{"id":2}'));
  const signedIn = plain(
    await call(url, 'POST', '/auth/sign-in', { body: '{"username":"ivan","password":"qwerty-12345"}' }),
  );
  expect(signedIn).toMatchObject({ status: 200, type: JSON_TYPE });
  expect(signedIn.text).toMatch(/^\{"token":"[\w-]+\.[\w-]+\.[\w-]+"\}$/);

  expect(await ask('POST', '/api/segments', '{"slug":"AVITO_VOICE_MESSAGES"}')).toEqual(ok('{"id":1}'));
  expect(await ask('POST', '/api/segments', '{"slug": "AVITO_DISCOUNT_50"}')).toEqual(ok('{"id":2}'));
  expect(await ask('POST', '/api/segments', '{"slug":"AVITO_PERFORMANCE_VAS"}')).toEqual(ok('{"id":3}'));

  expect(await ask('POST', '/api/users/2/segments', '{"slug":"AVITO_VOICE_MESSAGES"}')).toEqual(ok('{"status":"ok"}'));
  expect(await ask('POST', '/api/users/2/segments', '{"slug":"AVITO_DISCOUNT_50"}')).toEqual(ok('{"status":"ok"}'));
  expect(await ask('POST', '/api/users/2/segments', '{"slug":"AVITO_PERFORMANCE_VAS","ttl":3600}')).toEqual(
    ok('{"status":"ok"}'),
  );
  expect(await ask('GET', '/api/users/2/segments')).toEqual(
    ok('{"segments":["AVITO_DISCOUNT_50","AVITO_PERFORMANCE_VAS","AVITO_VOICE_MESSAGES"]}'),
  );

  // As the seed's own examples do it: Content-Type: application/json, and no body.
  expect(await ask('DELETE', '/api/users/2/AVITO_VOICE_MESSAGES')).toEqual(ok('{"status":"ok"}'));
  expect(await ask('DELETE', '/api/users/2/segments/AVITO_PERFORMANCE_VAS')).toEqual(ok('{"status":"ok"}'));
  expect(await ask('GET', '/api/users/2/segments')).toEqual(ok('{"segments":["AVITO_DISCOUNT_50"]}'));
  expect(await ask('DELETE', '/api/segments/AVITO_PERFORMANCE_VAS')).toEqual(ok('{"status":"ok"}'));
  expect((await ask('DELETE', '/api/segments/AVITO_PERFORMANCE_VAS')).status).toBe(404);
}

/** What the seven calls left behind. */
export async function everythingIsThere(url: string, token?: string): Promise<void> {
  expect(plain(await call(url, 'GET', '/api/users/2/segments', { token }))).toEqual(
    ok('{"segments":["AVITO_DISCOUNT_50"]}'),
  );
  expect((await call(url, 'POST', '/api/segments', { token, body: '{"slug":"AVITO_DISCOUNT_50"}' })).status).toBe(409);
  const signedIn = await call(url, 'POST', '/auth/sign-in', { body: '{"username":"IVAN","password":"qwerty-12345"}' });
  expect(signedIn.status).toBe(200);
}
