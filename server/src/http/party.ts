import type { FastifyRequest } from 'fastify';
import { addressSubject } from './address.ts';
import type { Caller } from './caller.ts';

/** Whose share of what is bounded a call takes. Strangers at one address have one together. */
export function partyOf({ caller, ip }: Pick<FastifyRequest, 'ip'> & { readonly caller?: Caller }): string {
  return caller === undefined || caller.kind === 'anonymous' ? `address ${addressSubject(ip)}` : caller.actor;
}
