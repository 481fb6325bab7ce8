import { calls, type Resolved } from './api.ts';
import type { Call } from './call.ts';
import { KohortError } from './errors.ts';

/** The limits of one call. */
export const maxUsers = 1_000;
const MAX_SLUGS = 1_000;

interface Waiting {
  readonly user: string;
  /** The one segment that is asked about; undefined asks for all. */
  readonly slug: string | undefined;
  resolve(segments: readonly string[]): void;
  reject(error: unknown): void;
}

export interface Reads {
  /** The segments of a user, or those of them that `slug` names. */
  read(user: string, slug?: string): Promise<readonly string[]>;
}

/** Runs after everything of this turn of the event loop, not only after the current chain of promises. */
function soon(task: () => void): void {
  // Node and Bun have it, Deno and browsers do not.
  const { setImmediate: immediate } = globalThis as { readonly setImmediate?: (task: () => void) => unknown };
  if (immediate) immediate(task);
  else setTimeout(task, 0);
}

/** Whether the service refused the combined call for a reason that single calls may not have. */
function isOfOne(error: unknown): boolean {
  return error instanceof KohortError && [400, 403, 413].includes(error.status);
}

function unknownUser(): KohortError {
  // The text of the single read, so that callers cannot tell the difference.
  return new KohortError('There is no such user.', {
    code: 'user_unknown',
    status: 404,
    errors: [],
    request_id: undefined,
    retryAfter: undefined,
  });
}

/** Reads of one tick become one call. Each caller gets the answer or the refusal that a call of their own would have got. */
export function createReads(call: Call): Reads {
  let waiting: Waiting[] = [];
  // A member's session may read only its own user.
  let mayResolve = true;

  async function readOne({ user, resolve, reject }: Waiting): Promise<void> {
    try {
      const answer = (await call(calls.memberships.listUserSegments, { params: { user } })) as {
        readonly segments: string[];
      };
      resolve(answer.segments);
    } catch (error) {
      reject(error);
    }
  }

  async function readMany(batch: readonly Waiting[]): Promise<void> {
    const users = [...new Set(batch.map(({ user }) => user))];
    const slugs = new Set(batch.map(({ slug }) => slug));
    const isNarrow = !slugs.has(undefined) && slugs.size <= MAX_SLUGS;
    try {
      const body = { users, ...(isNarrow && { segments: [...slugs] }) };
      const { results } = (await call(calls.memberships.resolve, { body })) as {
        readonly results: readonly Resolved[];
      };
      const found = new Map(results.map(({ user, segments }) => [user, segments]));
      for (const { user, resolve, reject } of batch) {
        const segments = found.get(user);
        if (segments) resolve(segments);
        else reject(unknownUser());
      }
    } catch (error) {
      if (!isOfOne(error)) for (const { reject } of batch) reject(error);
      else {
        if (error instanceof KohortError && error.status === 403) mayResolve = false;
        await Promise.all(batch.map(readOne));
      }
    }
  }

  function flush(): void {
    const all = waiting;
    waiting = [];
    const users = new Set<string>();
    let batch: Waiting[] = [];
    const leave = () => {
      if (batch.length === 1 || !mayResolve) for (const one of batch) void readOne(one);
      else if (batch.length > 1) void readMany(batch);
      batch = [];
      users.clear();
    };
    for (const one of all) {
      if (users.size === maxUsers && !users.has(one.user)) leave();
      users.add(one.user);
      batch.push(one);
    }
    leave();
  }

  return {
    read: (user, slug) =>
      new Promise((resolve, reject) => {
        waiting.push({ user, slug, resolve, reject });
        if (waiting.length === 1) soon(flush);
      }),
  };
}
