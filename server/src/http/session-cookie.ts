import type { IncomingHttpHeaders } from 'node:http';
import { Problem } from '@kohort/contract';
import type { FastifyRequest } from 'fastify';
import { credentialWith } from './caller.ts';
import { originOf } from './host.ts';

const name = 'kohort_session';
/** Browsers accept a cookie with this name only over https, from this host itself, and for all paths. */
const secureName = '__Host-kohort_session';
const attributes = 'Path=/; HttpOnly; SameSite=Strict';

function isSecure(request: FastifyRequest): boolean {
  return originOf(request).startsWith('https:');
}

/** The `Set-Cookie` that keeps a token for this many seconds, or deletes the cookie when there is no token. */
export function sessionCookie(request: FastifyRequest, token: string, maxAgeSeconds: number): string {
  const secure = isSecure(request);
  return `${secure ? secureName : name}=${token}; Max-Age=${maxAgeSeconds}; ${attributes}${secure ? '; Secure' : ''}`;
}

function cookieValue(cookies: string, wanted: string): string | undefined {
  for (const cookie of cookies.split(';')) {
    const [key, value] = cookie.split('=', 2);
    if (key?.trim() === wanted) return value?.trim();
  }
  return undefined;
}

/**
 * Whether the browser reports that a page of this service makes the call. Ports do not separate sites, so `same-site` is not
 * enough: a page of another service on this host could act for the signed-in user.
 */
function isOfOurPage(request: FastifyRequest): boolean {
  const { origin, 'sec-fetch-site': site } = request.headers;
  return site === undefined ? origin !== undefined && origin === originOf(request) : site === 'same-origin';
}

/** Whether no page makes the call: with what is no plain read, browsers send at least one of the two. */
function isOfNoPage({ headers }: FastifyRequest): boolean {
  return headers.origin === undefined && headers['sec-fetch-site'] === undefined;
}

/**
 * The headers of a call, with the credential from the console's cookie. A credential in the headers takes precedence.
 * @throws 401 when the cookie comes with a call that a page of this service did not make.
 */
export function withSession(
  request: FastifyRequest,
  { fromPrograms = false } = {},
): Pick<IncomingHttpHeaders, 'authorization'> {
  const { authorization, cookie } = request.headers;
  if (authorization !== undefined || cookie === undefined) return request.headers;
  const token = cookieValue(cookie, isSecure(request) ? secureName : name);
  if (token === undefined || token === '') return request.headers;
  if (isOfOurPage(request) || (fromPrograms && isOfNoPage(request))) return { authorization: credentialWith(token) };
  throw new Problem(
    'unauthenticated',
    'The session cookie is accepted only from pages of this service. Send a token.',
    {
      headers: { 'www-authenticate': 'Bearer realm="kohort"' },
    },
  );
}

/** The credential whose share a call takes, before authentication; either cookie may carry it. */
export function credentialOf({ authorization, cookie }: IncomingHttpHeaders): string | undefined {
  if (authorization !== undefined || cookie === undefined) return authorization;
  const token = cookieValue(cookie, secureName) ?? cookieValue(cookie, name);
  return token === undefined ? undefined : `Bearer ${token}`;
}
