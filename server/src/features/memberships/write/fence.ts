import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '@kohort/contract';
import type { Database, Tx } from '../../../postgres/database.ts';
import { dropStaleHolds, isHeldForErasure, selectHeldSegments } from './fence.sql.ts';

const LOOK_EVERY = 100;
const WAIT_AT_MOST = 20_000;

function held(): Problem {
  return new Problem('overloaded', 'An import that is about this user is being applied. Try again shortly.', {
    retryAfter: 2,
  });
}

export interface Holds {
  /** Resolves when the imports that are being applied now have come to an end. */
  lifted(): Promise<void>;
}

export function createHolds(db: Database): Holds {
  let looking: Promise<void> | undefined;

  async function look(): Promise<void> {
    const deadline = performance.now() + WAIT_AT_MOST;
    let waitedFor: Set<number> | undefined;
    for (;;) {
      const segments = new Set(await selectHeldSegments(db));
      // Those that come while we wait are not what we wait for.
      waitedFor = waitedFor?.intersection(segments) ?? segments;
      for (const segment of waitedFor) {
        if (await db.transaction((tx) => dropStaleHolds(tx, segment))) waitedFor.delete(segment);
      }
      if (waitedFor.size === 0) return;
      if (performance.now() > deadline) throw held();
      await sleep(LOOK_EVERY);
    }
  }

  return {
    // However many wait, one looks.
    lifted() {
      looking ??= look().finally(() => {
        looking = undefined;
      });
      return looking;
    },
  };
}

/** Part of erasing a user: not while an import may be about to write to them. */
export async function refuseErasureOfHeld(tx: Tx, userId: number): Promise<void> {
  if (await isHeldForErasure(tx, userId)) throw held();
}
