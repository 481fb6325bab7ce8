import { Problem } from '@kohort/contract';
import type { Db } from '../../../postgres/database.ts';
import { fieldsOf } from '../../../segmentation/conditions/references.ts';
import { deciderOf, keyOf, readOverrides } from '../../../segmentation/decide.ts';
import { type Definition, type Definitions, inOrder } from '../../../segmentation/definition.ts';
import { Turns } from '../turns.ts';
import { type Needed, selectUsersToDecide, type UserToDecide } from './decided-users.sql.ts';
import { setTimeoutMs } from './one-moment.ts';

/** Users that are read and decided about at a time. */
export const batchRows = 1_000;
/** Attributes that are read one by one; a condition that looks at more gets all of them. */
const maxFields = 8;
/** No segment has this id: a draft has no overrides. */
export const draftId = 0;

/** A draft on its own has no overrides to look for. */
function neededFor(definitions: Definitions, definition: Definition): Needed {
  const involved = inOrder(definitions.byId, [definition]);
  const fields = new Set(involved.flatMap(({ condition }) => (condition ? [...fieldsOf(condition)] : [])));
  return {
    segmentIds: involved.map(({ id }) => id).filter((id) => id !== draftId),
    fields: fields.size <= maxFields ? [...fields] : undefined,
  };
}

/**
 * For conditions that SQL cannot express exactly: decides about every user past an id in process, a batch at a time, while the
 * next batch is being read. `bounded` gives up when that takes too long.
 */
export async function* decidedUsers(
  tx: Db,
  definitions: Definitions,
  definition: Definition,
  { from = 0, bounded }: { from?: number; bounded: boolean },
): AsyncGenerator<{ members: number[]; of: number }, void, undefined> {
  const decide = deciderOf(definitions, definition);
  const needed = neededFor(definitions, definition);
  const fetch = (after: number) => selectUsersToDecide(tx, needed, { after, limit: batchRows });
  const end = performance.now() + setTimeoutMs;
  let next: Promise<UserToDecide[]> | undefined = fetch(from);
  try {
    while (next) {
      if (bounded && performance.now() > end) {
        throw new Problem('overloaded', 'This condition cannot be decided for all users in time.', { retryAfter: 10 });
      }
      const users: UserToDecide[] = await next;
      const last = users.at(-1);
      next = users.length === batchRows && last ? fetch(last.id) : undefined;
      // A failure is reported when its batch is awaited.
      next?.catch(() => undefined);
      const members: number[] = [];
      const turns = new Turns();
      for (const { overrides, ...user } of users) {
        const subject = { key: keyOf(user), attributes: user.attributes, overrides: readOverrides(overrides) };
        const taken = turns.take(decide(subject));
        const { member } = taken instanceof Promise ? await taken : taken;
        if (member) members.push(user.id);
      }
      yield { members, of: users.length };
    }
  } finally {
    // No statement of the transaction may be in flight when it ends.
    await next?.catch(() => undefined);
  }
}
