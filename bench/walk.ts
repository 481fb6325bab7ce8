import type { Options } from './options.ts';
import type { Target } from './service.ts';
import { drive, type Outcome, THREADS } from './wrk.ts';

const LONGEST_WALK_S = 120;

/** Users that are read one after another, each once. */
export interface Walk {
  readonly first: number;
  readonly users: number;
}

export function walkLoad({ first, users }: Walk, options: Options, tokens: string) {
  let walked = 0;
  return {
    from(start: number) {
      walked = start;
    },
    isThrough: () => walked >= users,
    async load(target: Target, seconds: number): Promise<Outcome> {
      const outcome = await drive({
        script: 'walk',
        url: target.url,
        seconds,
        connections: options.connections,
        env: { FIRST: first, USERS: users, START: walked, TOKENS: tokens },
      });
      walked += (outcome.issued + 1) * THREADS;
      return outcome;
    },
  };
}

/** Reads every user once. */
async function walkPast(target: Target, walk: Walk, options: Options, tokens: string): Promise<void> {
  const { isThrough, load } = walkLoad(walk, options, tokens);
  for (let spent = 0; !isThrough() && spent < LONGEST_WALK_S; spent += options.warmUp) {
    await load(target, options.warmUp);
  }
}

/** Reads every user twice, so that the service keeps the answer of each. */
export async function walkPastTwice(target: Target, walk: Walk, options: Options, tokens: string): Promise<void> {
  for (let i = 0; i < 2; i++) await walkPast(target, walk, options, tokens);
}
