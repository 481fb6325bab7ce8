import type { Role } from '@kohort/contract';

/** Who makes a call, as far as permissions and the history need to know. */
export interface Caller {
  readonly kind: 'anonymous' | 'session' | 'key';
  /** Undefined for anonymous callers, who exist in evaluation mode and on public calls only. */
  readonly role: Role | undefined;
  /** The user behind a session. */
  readonly userId: number | undefined;
  readonly sessionId: string | undefined;
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
