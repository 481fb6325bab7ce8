import type { IncomingHttpHeaders } from 'node:http';
import { type Access, type Endpoint, Problem, roles } from '@kohort/contract';
import { type Authenticate, anonymous, type Caller, type Recognise } from './caller.ts';

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

/** Identifies the caller; anonymous without a credential. An invalid credential is refused, never ignored. */
export async function identify({ authorization }: Credentials, authenticate: Authenticate): Promise<Caller> {
  if (authorization === undefined) return anonymous;
  const token = BEARER.exec(authorization)?.[1];
  const caller = token === undefined ? undefined : await authenticate(token);
  if (!caller) throw unauthenticated('The token is not valid, or not any more.', ', error="invalid_token"');
  return caller;
}

/** The same from memory alone; undefined when memory cannot answer, or the credential is written in an unusual way. */
export function recognise({ authorization }: Credentials, known: Recognise): Caller | undefined {
  return authorization === undefined ? anonymous : known(authorization);
}

/**
 * The caller, where memory knows them and it is plain that they may make this call. Keys with tags never are plain: they take
 * other statements, which the framework's routes know.
 */
export function admitAtOnce(
  endpoint: Endpoint,
  headers: Credentials,
  known: Recognise,
  facts: CallFacts,
): Caller | undefined {
  const caller = recognise(headers, known);
  return caller && !caller.tags && !refusalOf(endpoint, caller, facts) ? caller : undefined;
}

function forbidden(detail: string): Problem {
  return new Problem('forbidden', detail);
}

export interface CallFacts {
  /** The user in the path, as written. */
  readonly user: string | undefined;
  /** Evaluation mode, where the seed's calls need no token and accept any valid one. */
  readonly seedIsOpen: boolean;
  /** The header of a call from a web page. */
  readonly origin?: string | undefined;
}

/** Why a caller may not make a call; undefined when they may. */
export function refusalOf(
  endpoint: Pick<Endpoint, 'access' | 'seed' | 'taggedKeys'>,
  caller: Caller,
  facts: CallFacts,
): Problem | undefined {
  const { access, seed, taggedKeys } = endpoint;
  if (access === 'public') return undefined;
  if (caller.role === 'browser') return refusalOfBrowser(access, caller, facts);
  if (caller.tags && !taggedKeys) return forbidden('A key with tags may not make this call.');
  if (facts.seedIsOpen && seed) return undefined;
  if (caller.role === undefined) return tokenNeeded();
  if (access === 'session') {
    return caller.kind === 'session' ? undefined : forbidden('This call is for accounts that have signed in.');
  }
  const least = access === 'self' || access === 'browser' ? 'viewer' : access;
  const isAllowed =
    roles.indexOf(caller.role) >= roles.indexOf(least) || (access === 'self' && facts.user === String(caller.userId));
  return isAllowed ? undefined : forbidden('Your role does not allow this call.');
}

function refusalOfBrowser(access: Access, { origins = [] }: Caller, { origin }: CallFacts): Problem | undefined {
  if (access !== 'browser') return forbidden('Browser keys are for evaluating flags alone.');
  return origin !== undefined && origins.includes(origin)
    ? undefined
    : forbidden('This key is not for calls from this origin.');
}
