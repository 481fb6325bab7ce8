import { console as contract } from '@kohort/contract';
import { identify } from '../../http/access.ts';
import { addressSubject } from '../../http/address.ts';
import type { Authenticate } from '../../http/caller.ts';
import type { Router } from '../../http/route.ts';
import { sessionCookie, withSession } from '../../http/session-cookie.ts';
import { type AuthContext, signIn, signOut } from '../auth/auth.ts';

/** The session of the console: a sign-in whose token scripts cannot read. */
export function consoleRoutes({ route }: Router, context: AuthContext, authenticate: Authenticate): void {
  route(contract.openSession, async ({ body, request, reply }) => {
    const { token } = await signIn(context, body, addressSubject(request.ip));
    reply.header('set-cookie', sessionCookie(request, token, context.tokenTtl));
    return undefined;
  });

  route(contract.closeSession, async ({ request, reply }) => {
    // A token in a header is not the console's session.
    const headers = request.headers.authorization === undefined ? withSession(request, { fromPrograms: true }) : {};
    reply.header('set-cookie', sessionCookie(request, '', 0));
    const caller = await identify(headers, authenticate).catch(() => undefined);
    if (caller?.kind === 'session') await signOut(context, caller);
    return undefined;
  });
}
