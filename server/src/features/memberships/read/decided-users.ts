import { Turns } from '../../../concurrency/turns.ts';
import type { Db } from '../../../postgres/database.ts';
import { fieldsOf } from '../../../segmentation/conditions/references.ts';
import { type Decide, deciderOf, keyOf, readOverrides, type Subject } from '../../../segmentation/decide.ts';
import { type Definition, type Definitions, inOrder } from '../../../segmentation/definition.ts';
import { type Needed, selectUsersToDecide, type UserToDecide } from './decided-users.sql.ts';
import { takesTooLong } from './one-moment.ts';

/** Users that are read and decided about at a time. */
export const batchRows = 1_000;
/** Attributes that are read one by one; a condition that looks at more gets all of them. */
const maxFields = 8;
/** No segment has this id: a draft has no overrides. */
export const draftId = 0;

/** A draft on its own has no overrides to look for. */
function neededFor(definitions: Definitions, targets: readonly Definition[]): Needed {
  // One by one: of several definitions of one segment, as before and after a change, each has conditions of its own.
  const involved = targets.flatMap((target) => inOrder(definitions.byId, [target]));
  const fields = new Set(
    involved.flatMap(({ condition, bucketBy }) => [
      ...(condition ? fieldsOf(condition) : []),
      ...(bucketBy?.slice(0, 1) ?? []),
    ]),
  );
  return {
    segmentIds: [...new Set(involved.map(({ id }) => id))].filter((id) => id !== draftId),
    fields: fields.size <= maxFields ? [...fields] : undefined,
  };
}

/** Which of the definitions a user is in: bit `i` stands for the `i`-th. */
async function maskOf(decide: readonly Decide[], subject: Subject, now: number, turns: Turns): Promise<number> {
  let mask = 0;
  for (const [i, one] of decide.entries()) {
    const taken = turns.take(one(subject, now));
    const { member } = taken instanceof Promise ? await taken : taken;
    if (member) mask |= 1 << i;
  }
  return mask;
}

export interface DecidedOptions {
  /** The moment that is asked about, in milliseconds since 1970. */
  readonly now: number;
  readonly from?: number;
  /** When to give up, by `performance.now()`. */
  readonly until: number;
}

export interface DecidedUser {
  readonly id: number;
  readonly mask: number;
}

/**
 * For conditions that SQL cannot express exactly: decides about every user past an id in process, a batch at a time, while the
 * next batch is being read.
 */
export async function* decidedSets(
  tx: Db,
  definitions: Definitions,
  targets: readonly Definition[],
  { now, from = 0, until }: DecidedOptions,
): AsyncGenerator<DecidedUser[], void, undefined> {
  const decide = targets.map((target) => deciderOf(definitions, target));
  const needed = neededFor(definitions, targets);
  const fetch = (after: number) => selectUsersToDecide(tx, needed, { after, limit: batchRows });
  let next: Promise<UserToDecide[]> | undefined = fetch(from);
  try {
    while (next) {
      if (performance.now() > until) throw takesTooLong();
      const users: UserToDecide[] = await next;
      const last = users.at(-1);
      next = users.length === batchRows && last ? fetch(last.id) : undefined;
      // A failure is reported when its batch is awaited.
      next?.catch(() => undefined);
      const decided: DecidedUser[] = [];
      const turns = new Turns();
      for (const { overrides, ...user } of users) {
        const subject = { key: keyOf(user), attributes: user.attributes, overrides: readOverrides(overrides) };
        decided.push({ id: user.id, mask: await maskOf(decide, subject, now, turns) });
      }
      yield decided;
    }
  } finally {
    // No statement of the transaction may be in flight when it ends.
    await next?.catch(() => undefined);
  }
}

/** The same for one definition: the ids of its members in each batch, and of how many users. */
export async function* decidedUsers(
  tx: Db,
  definitions: Definitions,
  definition: Definition,
  options: DecidedOptions,
): AsyncGenerator<{ members: number[]; of: number }, void, undefined> {
  for await (const users of decidedSets(tx, definitions, [definition], options)) {
    yield { members: users.flatMap(({ id, mask }) => (mask === 0 ? [] : [id])), of: users.length };
  }
}
