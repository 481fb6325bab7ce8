import { auth as contract } from '@kohort/contract';
import { addressSubject } from '../../http/address.ts';
import type { Router } from '../../http/route.ts';
import { type AuthContext, changePassword, profileOf, signIn, signOut, signUp } from './auth.ts';

export function authRoutes({ route }: Router, context: AuthContext): void {
  route(contract.signUp, ({ body, request }) => signUp(context, body, addressSubject(request.ip)));

  route(contract.signIn, ({ body, request }) => signIn(context, body, addressSubject(request.ip)));

  route(contract.signOut, async ({ caller }) => {
    await signOut(context, caller);
    return undefined;
  });

  route(contract.me, ({ caller }) => profileOf(context, caller));

  route(contract.changePassword, async ({ caller, body, request }) => {
    await changePassword(context, caller, body, addressSubject(request.ip));
    return undefined;
  });
}
