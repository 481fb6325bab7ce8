import type { IncomingHttpHeaders } from 'node:http';
import { type Endpoint, Problem, roles } from '@kohort/contract';
import { type Authenticate, anonymous, type Caller } from './caller.ts';

type Credentials = Pick<IncomingHttpHeaders, 'authorization'>;

const BEARER = /^Bearer +([A-Za-z0-9._~+/=-]+) *$/i;

function unauthenticated(detail: string, parameters = ''): Problem {
  return new Problem('unauthenticated', detail, {
    headers: { 'www-authenticate': `Bearer realm="kohort"${parameters}` },
  });
}

export function tokenNeeded(): Problem {
  return unauthenticated('This call needs a token: Authorization: Bearer …');
}

/** Who calls; anonymous without a credential. A credential that is there but no good is refused, never ignored. */
export async function identify({ authorization }: Credentials, authenticate: Authenticate): Promise<Caller> {
  if (authorization === undefined) return anonymous;
  const token = BEARER.exec(authorization)?.[1];
  const caller = token === undefined ? undefined : await authenticate(token);
  if (!caller) throw unauthenticated('The token is not valid, or not any more.', ', error="invalid_token"');
  return caller;
}

/** The same from memory alone; undefined where that does not suffice to say. */
export function recognise(
  { authorization }: Credentials,
  known: (token: string) => Caller | undefined,
): Caller | undefined {
  if (authorization === undefined) return anonymous;
  const token = BEARER.exec(authorization)?.[1];
  return token === undefined ? undefined : known(token);
}

/**
 * Why a caller may not make a call, or undefined when they may. `user` is the one in the path, as it stands there.
 * `seedIsOpen`: evaluation mode, where the seed's calls need no token and any good one will do.
 */
export function refusalOf(
  { access, seed }: Pick<Endpoint, 'access' | 'seed'>,
  caller: Caller,
  { user, seedIsOpen }: { readonly user: string | undefined; readonly seedIsOpen: boolean },
): Problem | undefined {
  if (access === 'public' || (seedIsOpen && seed)) return undefined;
  if (caller.role === undefined) return tokenNeeded();
  if (access === 'session') {
    return caller.kind === 'session'
      ? undefined
      : new Problem('forbidden', 'This call is for accounts that signed in.');
  }
  const least = access === 'self' ? 'viewer' : access;
  const allowed =
    roles.indexOf(caller.role) >= roles.indexOf(least) || (access === 'self' && user === String(caller.userId));
  return allowed ? undefined : new Problem('forbidden', 'Your role does not allow this call.');
}
