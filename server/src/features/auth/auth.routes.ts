import { auth as contract } from '@kohort/contract';
import { addressSubject } from '../../http/address.ts';
import type { Router } from '../../http/route.ts';
import type { Auth } from './auth.ts';

export function authRoutes({ route }: Router, auth: Auth): void {
  route(contract.signUp, ({ body, request }) => auth.signUp(body, addressSubject(request.ip)));

  route(contract.signIn, ({ body, request }) => auth.signIn(body, addressSubject(request.ip)));

  route(contract.signOut, async ({ caller }) => {
    await auth.signOut(caller);
    return undefined;
  });

  route(contract.me, ({ caller }) => auth.me(caller));

  route(contract.changePassword, async ({ caller, body, request }) => {
    await auth.changePassword(caller, body, addressSubject(request.ip));
    return undefined;
  });
}
