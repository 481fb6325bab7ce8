import { setTimeout as sleep } from 'node:timers/promises';
import { Problem, type UserRef } from '@kohort/contract';
import { AtMost } from '../../concurrency/at-most.ts';
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
  readonly lookEveryMs?: number;
  readonly maxFollowers?: number;
}

interface Follower {
  readonly link: StreamLink;
  /** What decided about the user at the last look; undefined before the first. */
  fingerprint: Fingerprint | undefined;
  isOver: boolean;
  /** Has the follower look at the two above. */
  wake: () => void;
}

const lookEveryMs = 1_000;
const maxFollowers = 500;
/** Users that one look reads at a time: each may have 16 KiB of attributes and very many overrides. */
const usersAtOnce = 32;
/** Looks after which a comment keeps proxies from closing the connection. */
const quietLooks = 15;

/** The followers of flags in this process. While there are none, nothing is asked. */
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
      // One credential, such as the key of a page with many visitors, gets most places, never all.
      factor: 7,
      refusal: 'Too many follow flags here. Evaluate again from time to time instead.',
      retryAfterSeconds: 30,
    });
  }

  /**
   * Events for one follower, until they leave, their credential ends or the service stops.
   * @param lastEventId what a follower who comes again has heard last.
   * @throws Problem 404 when the credential behind the link is no longer valid, 503 when too many follow.
   */
  async follow(link: StreamLink, left: AbortSignal, lastEventId?: string): Promise<AsyncGenerator<string>> {
    const giveUpPlace = this.#places.enter(
      link.keyId === undefined ? `session:${link.sessionId}` : `key:${link.keyId}`,
    );
    const follower: Follower = { link, fingerprint: undefined, isOver: false, wake: () => undefined };
    this.#followers.add(follower);
    const leave = () => {
      this.#followers.delete(follower);
      giveUpPlace();
      end(follower);
    };
    left.addEventListener('abort', leave, { once: true });
    try {
      if (!(await this.#isValid(link))) throw unknownStream();
      follower.fingerprint = await this.#look(link.targetingKey, undefined);
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
    let told = follower.fingerprint?.text;
    const refetch = () => `id: ${told}\ndata: {"type":"refetchEvaluation"}\n\n`;
    try {
      const isBehind = lastEventId !== undefined && lastEventId !== told;
      // Without data nothing is dispatched, but a follower who comes again names the id.
      yield isBehind ? refetch() : `id: ${told}\n\n`;
      for (let quiet = 0; !follower.isOver; ) {
        if (follower.fingerprint?.text !== told) {
          told = follower.fingerprint?.text;
          quiet = 0;
          yield refetch();
        } else {
          await new Promise<void>((resolve) => {
            follower.wake = resolve;
          });
          quiet++;
          if (quiet % quietLooks === 0) yield ': still here\n\n';
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
    void this.#keepLooking();
  }

  async #keepLooking(): Promise<void> {
    while (this.#followers.size > 0 && !this.#isClosed) {
      await sleep(this.#settings.lookEveryMs ?? lookEveryMs, undefined, { ref: false });
      await this.#lookAtAll().catch((error) => this.#settings.onError(error, 'flag streams cannot be refreshed'));
    }
    this.#isLooking = false;
  }

  async #lookAtAll(): Promise<void> {
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
    // One look at a user serves all who follow that user.
    const followersOf = Map.groupBy(followers.filter(isValid), ({ link }) => link.targetingKey);
    const all = [...followersOf];
    for (let from = 0; from < all.length; from += usersAtOnce) {
      const some = all.slice(from, from + usersAtOnce);
      await Promise.all(some.map(([targetingKey, those]) => this.#lookAgain(targetingKey, those)));
    }
  }

  async #lookAgain(targetingKey: string, those: readonly Follower[]): Promise<void> {
    const fingerprint = await this.#look(targetingKey, those[0]?.fingerprint);
    for (const follower of those) {
      follower.fingerprint = fingerprint;
      follower.wake();
    }
  }

  /** States of hundreds arrive with one statement and are megabytes: they are digested one by one, with turns for others. */
  async #look(targetingKey: string, before: Fingerprint | undefined): Promise<Fingerprint> {
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
