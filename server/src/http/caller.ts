import type { Role } from '@kohort/contract';

/** The caller, as far as permissions and history need to know. */
export interface Caller {
  readonly kind: 'anonymous' | 'session' | 'key';
  /** Undefined for anonymous callers, who exist in evaluation mode and on public calls only. */
  readonly role: Role | 'browser' | undefined;
  /** The user behind a session. */
  readonly userId: number | undefined;
  readonly sessionId: string | undefined;
  readonly keyId?: number | undefined;
  /** The tags of a key with tags: the key sees and changes only segments that carry one of them. */
  readonly tags?: readonly string[] | undefined;
  /** For a browser key: the only origins it is accepted from. */
  readonly origins?: readonly string[] | undefined;
  /** As stored in history: `user:2`, `key:1`, `anonymous`. */
  readonly actor: string;
}

export const anonymous: Caller = {
  kind: 'anonymous',
  role: undefined,
  userId: undefined,
  sessionId: undefined,
  actor: 'anonymous',
};

/** The `Authorization` header that nearly every client sends a token in. */
export function credentialWith(token: string): string {
  return `Bearer ${token}`;
}

/** Returns the caller that a bearer token belongs to, or undefined when the token is invalid. */
export type Authenticate = (token: string) => Promise<Caller | undefined>;

/** The same for a credential written as {@link credentialWith} does, from memory alone; undefined when memory cannot answer. */
export type Recognise = (credential: string) => Caller | undefined;
