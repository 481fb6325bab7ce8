import { setTimeout as sleep } from 'node:timers/promises';
import { Problem, type UserRef } from '@kohort/contract';
import { AtMost } from '../../concurrency/at-most.ts';
import { onBehalfOf, theService } from '../../concurrency/party.ts';
import { Turns } from '../../concurrency/turns.ts';
import type { Db } from '../../postgres/database.ts';
import { validReaders } from '../auth/auth.ts';
import { validKeys } from '../keys/keys.ts';
import type { StateOfUser } from '../memberships/memberships.ts';
import { type Fingerprint, fingerprintOf } from './fingerprint.ts';
import type { StreamLink } from './links.ts';

export interface StreamSettings {
  readonly db: Db;
  readonly stateOf: (user: UserRef) => ReturnType<StateOfUser>;
  readonly onError: (error: unknown, what: string) => void;
  readonly pollEveryMs?: number;
  readonly maxFollowers?: number;
}

interface Follower {
  readonly link: StreamLink;
  /** The fingerprint of the user at the last poll; undefined before the first. */
  fingerprint: Fingerprint | undefined;
  isOver: boolean;
  /** Wakes the follower to check the two above. */
  wake: () => void;
}

const pollEveryMs = 1_000;
const maxFollowers = 500;
/** Users per statement: each may have 16 KiB of attributes and very many overrides. */
const usersAtOnce = 32;
/** Polls after which a comment keeps proxies from closing the connection. */
const quietPolls = 15;

/** The followers of flags in this process. Without followers there is no polling. */
export class FlagStreams {
  readonly #settings: StreamSettings;
  readonly #followers = new Set<Follower>();
  readonly #places: AtMost;
  readonly #turns = new Turns();
  #lastFingerprint: Promise<unknown> = Promise.resolve();
  #isLooking = false;
  #isClosed = false;

  constructor(settings: StreamSettings) {
    this.#settings = settings;
    this.#places = new AtMost({
      atOnce: settings.maxFollowers ?? maxFollowers,
      // One credential, such as the key of a page with many visitors, can get most of the places, never all.
      factor: 7,
      refusal: 'Too many event streams of flags are open. Poll instead.',
      retryAfterSeconds: 30,
    });
  }

  /**
   * Events for one follower, until they disconnect, their credential ends or the service stops.
   * @param lastEventId the last event that a reconnecting follower received.
   * @throws Problem 404 if the credential of the link is no longer valid, 503 if there are too many followers.
   */
  async follow(link: StreamLink, left: AbortSignal, lastEventId?: string): Promise<AsyncGenerator<string>> {
    const giveUpPlace = this.#places.enter(
      link.keyId === undefined ? `session:${link.sessionId}` : `key:${link.keyId}`,
    );
    // A stopping service takes calls for some moments more. A stream that is answered and ends is opened again elsewhere; one that
    // is refused is not.
    const follower: Follower = { link, fingerprint: undefined, isOver: this.#isClosed, wake: () => undefined };
    this.#followers.add(follower);
    const leave = () => {
      this.#followers.delete(follower);
      giveUpPlace();
      end(follower);
    };
    left.addEventListener('abort', leave, { once: true });
    try {
      if (!(await this.#isValid(link))) throw unknownStream();
      follower.fingerprint = await this.#fingerprintOf(link.targetingKey, undefined);
    } catch (error) {
      leave();
      throw error;
    }
    this.#startLooking();
    return this.#eventsFor(follower, leave, lastEventId);
  }

  close(): void {
    this.#isClosed = true;
    for (const follower of this.#followers) end(follower);
  }

  async *#eventsFor(follower: Follower, leave: () => void, lastEventId?: string): AsyncGenerator<string> {
    let sent = follower.fingerprint?.text;
    const refetch = () => `id: ${sent}\ndata: {"type":"refetchEvaluation"}\n\n`;
    try {
      const isBehind = lastEventId !== undefined && lastEventId !== sent;
      // An event without data is not dispatched, but its id is sent on reconnection.
      yield isBehind ? refetch() : `id: ${sent}\n\n`;
      for (let quiet = 0; !follower.isOver; ) {
        if (follower.fingerprint?.text !== sent) {
          sent = follower.fingerprint?.text;
          quiet = 0;
          yield refetch();
        } else {
          await new Promise<void>((resolve) => {
            follower.wake = resolve;
          });
          quiet++;
          if (quiet % quietPolls === 0) yield ': still here\n\n';
        }
      }
    } finally {
      leave();
    }
  }

  async #isValid({ keyId, sessionId }: StreamLink): Promise<boolean> {
    const { db } = this.#settings;
    if (keyId !== undefined) return (await validKeys(db, [keyId])).has(keyId);
    return sessionId !== undefined && (await validReaders(db, [sessionId])).has(sessionId);
  }

  #startLooking(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    void onBehalfOf(theService, () => this.#keepLooking());
  }

  async #keepLooking(): Promise<void> {
    while (this.#followers.size > 0 && !this.#isClosed) {
      await sleep(this.#settings.pollEveryMs ?? pollEveryMs, undefined, { ref: false });
      await this.#refreshAll().catch((error) => this.#settings.onError(error, 'polling for flag streams failed'));
    }
    this.#isLooking = false;
  }

  async #refreshAll(): Promise<void> {
    const followers = [...this.#followers].filter(({ fingerprint }) => fingerprint !== undefined);
    const { db } = this.#settings;
    const ids = <T>(of: (link: StreamLink) => T | undefined) =>
      followers.map(({ link }) => of(link)).filter((id) => id !== undefined);
    const [keys, sessions] = await Promise.all([
      validKeys(
        db,
        ids(({ keyId }) => keyId),
      ),
      validReaders(
        db,
        ids(({ sessionId }) => sessionId),
      ),
    ]);
    const isValid = ({ link: { keyId, sessionId } }: Follower) =>
      keyId !== undefined ? keys.has(keyId) : sessions.has(sessionId ?? '');
    for (const follower of followers) if (!isValid(follower)) end(follower);
    // One evaluation of a user serves all followers of that user.
    const followersOf = Map.groupBy(followers.filter(isValid), ({ link }) => link.targetingKey);
    const all = [...followersOf];
    for (let from = 0; from < all.length; from += usersAtOnce) {
      const some = all.slice(from, from + usersAtOnce);
      await Promise.all(some.map(([targetingKey, those]) => this.#refresh(targetingKey, those)));
    }
  }

  async #refresh(targetingKey: string, those: readonly Follower[]): Promise<void> {
    const fingerprint = await this.#fingerprintOf(targetingKey, those[0]?.fingerprint);
    for (const follower of those) {
      follower.fingerprint = fingerprint;
      follower.wake();
    }
  }

  /** One statement returns many users, megabytes in all, so they are hashed one after another, and other calls get turns in between. */
  async #fingerprintOf(targetingKey: string, before: Fingerprint | undefined): Promise<Fingerprint> {
    const state = await this.#settings.stateOf({ externalId: targetingKey });
    const fingerprint = this.#lastFingerprint.then(() => fingerprintOf(targetingKey, state, before, this.#turns));
    this.#lastFingerprint = fingerprint.catch(() => undefined);
    return fingerprint;
  }
}

function end(follower: Follower): void {
  follower.isOver = true;
  follower.wake();
}

export function unknownStream(): Problem {
  return new Problem(
    'stream_unknown',
    'There is no such event stream, or no longer. Evaluate to learn of the next one.',
  );
}
