import type { Role } from '@kohort/contract';

/** Who makes a call, as far as permissions and the history need to know. */
export interface Caller {
  readonly kind: 'anonymous' | 'session' | 'key';
  /** Undefined for anonymous callers, who exist in evaluation mode and on public calls only. */
  readonly role: Role | 'browser' | undefined;
  /** The user behind a session. */
  readonly userId: number | undefined;
  readonly sessionId: string | undefined;
  readonly keyId?: number | undefined;
  /** The tags of a key that has any: it sees and changes only segments that carry one of them. */
  readonly tags?: readonly string[] | undefined;
  /** Of a browser key: the only origins that it is accepted from. */
  readonly origins?: readonly string[] | undefined;
  /** As history keeps it: `user:2`, `key:1`, `anonymous`. */
  readonly actor: string;
}

export const anonymous: Caller = {
  kind: 'anonymous',
  role: undefined,
  userId: undefined,
  sessionId: undefined,
  actor: 'anonymous',
};

/** Answers who a bearer token belongs to, or undefined when it is no good. */
export type Authenticate = (token: string) => Promise<Caller | undefined>;
