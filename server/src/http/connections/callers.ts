import type { IncomingMessage } from 'node:http';
import type { Caller } from '../caller.ts';
import { credentialOf } from '../session-cookie.ts';

/** Whose share a call takes, as far as that is known before any work is done for it. */
export interface Payer {
  readonly party: string;
  readonly isAdmin: boolean;
}

const maxCredentials = 10_000;
const signIn = /^\/(?:auth\/sign-in|ui\/session)(?:\?|$)/;

/**
 * Credentials that were valid when last checked. That is enough to choose whose share a call takes, not to admit it.
 */
export class KnownCallers {
  readonly #payers = new Map<string, Payer>();

  /** `credential`: the value of an `Authorization` header. */
  learn(credential: string, { actor, role }: Caller): void {
    const isAdmin = role === 'admin';
    const known = this.#payers.get(credential);
    if (known?.party === actor && known.isAdmin === isAdmin) return;
    if (this.#payers.size >= maxCredentials) {
      for (const oldest of this.#payers.keys()) {
        this.#payers.delete(oldest);
        break;
      }
    }
    this.#payers.set(credential, { party: actor, isAdmin });
  }

  forget(credential: string): void {
    this.#payers.delete(credential);
  }

  /**
   * Callers with a known credential have a share of their own. All others at one address share: those with a credential, or
   * about to get one, apart from those without, so that anonymous callers cannot lock them out.
   */
  payerOf(request: IncomingMessage, addressOf: (request: IncomingMessage) => string): Payer {
    const credential = credentialOf(request.headers);
    const known = credential === undefined ? undefined : this.#payers.get(credential);
    if (known) return known;
    const hasCredential = credential !== undefined || signIn.test(request.url ?? '');
    return { party: `${hasCredential ? 'credential' : 'address'} ${addressOf(request)}`, isAdmin: false };
  }
}
