import { externalIdFault, invalid, maxAttributesBytes, Problem, type UserRef } from '@kohort/contract';
import { type Cursors, pageOf } from '../../paging/cursors.ts';
import type { Database, Db, Tx } from '../../postgres/database.ts';
import { transactionBesideBulk } from '../../postgres/locks.ts';
import { type AnyObject, mergePatch } from './merge-patch.ts';
import {
  deleteUser,
  insertUser,
  type NewUser,
  selectUser,
  selectUserForUpdate,
  selectUsers,
  type UserRow,
  updateUser,
} from './users.sql.ts';

export type { UserRow } from './users.sql.ts';

const MAX_ATTEMPTS = 5;

export function unknownUser(): Problem {
  return new Problem('user_unknown', 'There is no such user.');
}

/** Who has a user erased. */
export interface Eraser {
  readonly actor: string;
  readonly isAdmin: boolean;
}

/** What the rest of the service owes a user who is erased, in the transaction that erases them. */
export type OnErase = (tx: Tx, userId: number, by: Eraser) => Promise<void>;

export interface Users {
  create(
    within: Db,
    user: { external_id?: string | null; name?: string | null; attributes?: AnyObject },
  ): Promise<{ id: number }>;
  read(ref: UserRef, within?: Db): Promise<UserRow>;
  list(page: {
    query?: string;
    limit?: number;
    cursor?: string;
  }): Promise<{ users: UserRow[]; next_cursor: string | null }>;
  change(ref: UserRef, patch: { name?: string | null; attributes?: AnyObject }): Promise<UserRow>;
  erase(ref: UserRef, by: Eraser): Promise<{ id: number }>;
}

/** Measured as it would be written most tightly, so that the limit does not depend on white space. */
function checkSize(attributes: AnyObject): void {
  const bytes = Buffer.byteLength(JSON.stringify(attributes));
  if (bytes > maxAttributesBytes) {
    throw new Problem(
      'too_large',
      `The attributes are ${bytes} bytes of JSON; at most ${maxAttributesBytes} are kept.`,
    );
  }
}

/** Finds the user, or registers one under an external id not seen before. Within the caller's transaction. */
export async function findOrRegister(tx: Tx, ref: UserRef): Promise<UserRow> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const found = await selectUserForUpdate(tx, ref);
    if (found) return found;
    if (ref.id !== undefined) throw unknownUser();
    // A rival may register it first: either way it is there for the next statement to find, unless it is erased by then.
    await insertUser(tx, { external_id: ref.externalId, name: null, attributes: {} });
  }
  throw new Problem('overloaded', 'The user is registered and erased again and again. Try again shortly.', {
    retryAfter: 1,
  });
}

export interface UsersSettings {
  readonly db: Database;
  readonly cursors: Cursors;
  readonly onErase: OnErase;
  /** Waits for the imports that are being applied: they keep users locked, and new external ids taken, until they end. */
  readonly untilLifted: () => Promise<void>;
}

export function createUsers({ db, cursors, onErase, untilLifted }: UsersSettings): Users {
  const inTurn = <T>(work: (tx: Tx) => Promise<T>) => transactionBesideBulk(db, untilLifted, work);

  return {
    async create(within, { external_id = null, name = null, attributes = {} }) {
      if (external_id !== null) {
        const fault = externalIdFault(external_id);
        if (fault) throw invalid('/body/external_id', fault);
      }
      checkSize(attributes);
      const user: NewUser = { external_id, name, attributes };
      const isOnItsOwn = within === db && external_id !== null;
      const id = isOnItsOwn ? await inTurn((tx) => insertUser(tx, user)) : await insertUser(within, user);
      if (id === undefined) throw new Problem('external_id_taken', 'A user with this external id exists.');
      return { id };
    },

    async read(ref, within = db) {
      const user = await selectUser(within, ref);
      if (!user) throw unknownUser();
      return user;
    },

    async list({ query, limit = 100, cursor }) {
      const [after] = cursor === undefined ? [0] : cursors.decode('users', cursor);
      const found = await selectUsers(db, { query, after: Number(after), limit: limit + 1 });
      const { rows, next_cursor } = pageOf(found, limit, (last) => cursors.encode('users', [last.id]));
      return { users: rows, next_cursor };
    },

    change(ref, { name, attributes }) {
      return inTurn(async (tx) => {
        const user = await findOrRegister(tx, ref);
        const merged = attributes === undefined ? user.attributes : mergePatch(user.attributes, attributes);
        checkSize(merged);
        const changed = await updateUser(tx, user.id, {
          name: name === undefined ? user.name : name,
          attributes: merged,
        });
        if (!changed) throw unknownUser();
        return changed;
      });
    },

    async erase(ref, by) {
      const attempt = () =>
        inTurn(async (tx) => {
          const user = await selectUserForUpdate(tx, ref);
          if (!user) throw unknownUser();
          await onErase(tx, user.id, by);
          await deleteUser(tx, user.id);
          return { id: user.id };
        });
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== 'overloaded') throw error;
        // An import is about to write to them: once more when it has ended, or was found to have died.
        await untilLifted();
        return attempt();
      }
    },
  };
}
