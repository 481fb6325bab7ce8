import { Turns } from '../../../concurrency/turns.ts';
import type { Db } from '../../../postgres/database.ts';
import { fieldsOf } from '../../../segmentation/conditions/references.ts';
import { type Decide, deciderOf } from '../../../segmentation/decide.ts';
import type { Definition } from '../../../segmentation/definition.ts';
import { type Definitions, inOrder } from '../../../segmentation/definitions.ts';
import { readOverrides } from '../../../segmentation/overrides.ts';
import { keyOf, type Subject } from '../../../segmentation/subject.ts';
import { type Needed, selectUsersToDecide, type UsersToDecide } from './decided-users.sql.ts';
import { keepSnapshots, selectIdsAfter } from './one-moment.sql.ts';
import { type Moment, takesTooLong } from './one-moment.ts';

/** Users per batch. */
export const batchRows = 1_000;
/** The most attributes that are read one by one; a condition that names more gets all of them. */
const maxFields = 8;
/** No segment has this id, so a draft has no overrides. */
export const draftId = 0;

/** A draft by itself needs no overrides. */
function neededFor(definitions: Definitions, targets: readonly Definition[]): Needed {
  // One by one: several definitions of one segment, as before and after a change, each have their own conditions.
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

/** The definitions that a user is in: bit `i` stands for the `i`-th. */
async function maskOf(decide: readonly Decide[], subject: Subject, now: number, turns: Turns): Promise<number> {
  let mask = 0;
  for (const [i, one] of decide.entries()) {
    const taken = turns.take(one(subject, now));
    const { member } = taken instanceof Promise ? await taken : taken;
    if (member) mask |= 1 << i;
  }
  return mask;
}

export interface DecidedOptions extends Moment {
  readonly from?: number;
}

export interface DecidedUser {
  readonly id: number;
  readonly mask: number;
}

/**
 * For conditions that SQL cannot express exactly: decides about all users after an id in process, one batch at a time, while
 * the next batch is being read.
 */
export async function* decidedSets(
  tx: Db,
  definitions: Definitions,
  targets: readonly Definition[],
  { now, from = 0, until, progress }: DecidedOptions,
): AsyncGenerator<DecidedUser[], void, undefined> {
  const decide = targets.map((target) => deciderOf(definitions, target));
  const needed = neededFor(definitions, targets);
  const fetch = (after: number) => selectUsersToDecide(tx, needed, { after, limit: batchRows, now });
  await keepSnapshots(tx);
  const { last: lastOfAll } = progress ? await selectIdsAfter(tx, from) : { last: null };
  let next: Promise<UsersToDecide> | undefined = fetch(from);
  try {
    while (next) {
      if (performance.now() > until) throw takesTooLong();
      const { users, last }: UsersToDecide = await next;
      if (last !== undefined) progress?.(last, lastOfAll ?? last);
      next = last === undefined ? undefined : fetch(last);
      // A failure is reported when its batch is awaited.
      next?.catch(() => undefined);
      const decided: DecidedUser[] = [];
      const turns = new Turns();
      for (const { overrides, ...user } of users) {
        // Most decisions take one step, after which they are not asked whether they took long.
        if (turns.isOver) await turns.pause();
        const subject = { key: keyOf(user), attributes: user.attributes, overrides: readOverrides(overrides) };
        decided.push({ id: user.id, mask: await maskOf(decide, subject, now, turns) });
      }
      yield decided;
    }
  } finally {
    // The transaction must not end with a statement in flight.
    await next?.catch(() => undefined);
  }
}

/** The same for one definition: the ids of its members in each batch, and the number of users in it. */
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
