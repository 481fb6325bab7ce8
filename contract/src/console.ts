import Type from 'typebox';
import { nothing, strict } from './common.ts';
import { endpoint } from './endpoint.ts';

/** A password that is only compared has no form: anything wrong is the same 401. */
const Claimed = Type.String();

export const openSession = endpoint({
  method: 'POST',
  path: '/ui/session',
  id: 'openSession',
  tag: 'console',
  summary: 'Open a session of the console',
  description:
    'Sets an httpOnly cookie with `SameSite=Strict`; where the public address is https also `Secure`, with the prefix `__Host-`. It stands for the token of a sign-in in calls of `/api` and `/auth` that a browser marks with `Sec-Fetch-Site: same-origin` or with an `Origin` that is ours. Programs use `POST /auth/sign-in`.',
  access: 'public',
  body: strict({ username: Claimed, password: Claimed }),
  success: nothing,
  problems: ['sign_in_failed', 'throttled', 'overloaded'],
  example: { body: { username: 'ann', password: 'qwerty' } },
});

export const closeSession = endpoint({
  method: 'DELETE',
  path: '/ui/session',
  id: 'closeSession',
  tag: 'console',
  summary: 'End the session of the console',
  description: 'Clears the cookie and ends its session, if there is one.',
  access: 'public',
  success: nothing,
  example: {},
});
