import { externalIdFault, invalid, maxAttributesBytes, Problem, type UserRef } from '@kohort/contract';
import { type Cursors, fitting, pageOf } from '../../paging/cursors.ts';
import type { Database, Db, Transactor, Tx } from '../../postgres/database.ts';
import { transactionBesideFences } from '../fences/fences.ts';
import { checkAttributeNames } from './attribute-names.ts';
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
  userPageBytes,
} from './users.sql.ts';

export { flawOfName } from './attribute-names.ts';
export { nextUserId, selectIdsByRef, selectIdsOf, selectPeople } from './ids.sql.ts';
export { lockRows, takeUserTurns, userTurns } from './locks.sql.ts';
export {
  type CurrentUser,
  countDifferent,
  insertUsers,
  lockUsers,
  lockUsersByRef,
  registerAll,
  registerMissing,
  selectUsersById,
  type UserState,
  updateUsers,
  type WrittenUsers,
} from './many-users.sql.ts';
export { type AnyObject, mergePatch } from './merge-patch.ts';
export { countRestorable, deleteUntouched, restoreUsers } from './restored-users.sql.ts';
export { restartUserIds, type UserRow } from './users.sql.ts';

const maxAttempts = 5;

export function unknownUser(): Problem {
  return new Problem('user_unknown', 'There is no such user.');
}

export function unknownUsers(users: readonly string[]): Problem {
  const [first] = users;
  return new Problem(
    'user_unknown',
    users.length === 1 ? `There is no user ${first}.` : `There are no users ${users.join(', ')}.`,
  );
}

/** Measured as compact JSON, so that the limit does not depend on white space. */
function checkSize(attributes: AnyObject): void {
  const bytes = Buffer.byteLength(JSON.stringify(attributes));
  if (bytes > maxAttributesBytes) {
    throw new Problem(
      'too_large',
      `The attributes are ${bytes} bytes of JSON; at most ${maxAttributesBytes} are allowed.`,
    );
  }
}

/** Finds the user and locks them, or registers one under a new external id. */
export async function findOrRegister(tx: Tx, ref: UserRef, actor: string): Promise<UserRow> {
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const found = await selectUserForUpdate(tx, ref);
    if (found) return found;
    if (ref.id !== undefined) throw unknownUser();
    // A concurrent call may register it first. Either way the next statement finds it, unless it is erased by then.
    await insertUser(tx, { external_id: ref.externalId, name: null, attributes: {} }, actor);
  }
  throw new Problem('overloaded', 'The user is being registered and erased repeatedly. Try again shortly.', {
    retryAfter: 1,
  });
}

export async function createUser(
  db: Transactor,
  {
    external_id = null,
    name = null,
    attributes = {},
  }: { external_id?: string | null; name?: string | null; attributes?: AnyObject },
  actor: string,
): Promise<{ id: number }> {
  if (external_id !== null) {
    const fault = externalIdFault(external_id);
    if (fault) throw invalid('/body/external_id', fault);
  }
  checkAttributeNames(attributes, { isPatch: false });
  checkSize(attributes);
  const user: NewUser = { external_id, name, attributes };
  // An import that registers the same external id keeps its key locked until it commits.
  const id = await (external_id === null
    ? insertUser(db, user, actor)
    : transactionBesideFences(db, (tx) => insertUser(tx, user, actor)));
  if (id === undefined) throw new Problem('external_id_taken', 'A user with this external id exists.');
  return { id };
}

export async function readUser(db: Db, ref: UserRef): Promise<UserRow> {
  const user = await selectUser(db, ref);
  if (!user) throw unknownUser();
  return user;
}

export async function listUsers(
  { db, cursors }: { db: Db; cursors: Cursors },
  { query, limit = 100, cursor }: { query?: string; limit?: number; cursor?: string },
): Promise<{ users: UserRow[]; next_cursor: string | null }> {
  const [after] = cursor === undefined ? [0] : cursors.decode('users', cursor);
  const found = await selectUsers(db, { query, after: Number(after), limit: limit + 1 });
  const { rows, next_cursor } = pageOf(found, Math.min(limit, fitting(found, userPageBytes)), (last) =>
    cursors.encode('users', [last.id]),
  );
  return { users: rows, next_cursor };
}

/** Absent keeps, null clears; attributes by merge patch. Registers an unknown external id. */
export function changeUser(
  db: Database,
  ref: UserRef,
  { name, attributes }: { name?: string | null; attributes?: AnyObject },
  actor: string,
): Promise<UserRow> {
  if (attributes !== undefined) checkAttributeNames(attributes, { isPatch: true });
  return transactionBesideFences(db, async (tx) => {
    const user = await findOrRegister(tx, ref, actor);
    const merged = attributes === undefined ? user.attributes : mergePatch(user.attributes, attributes);
    checkSize(merged);
    const changed = await updateUser(
      tx,
      user.id,
      { name: name === undefined ? user.name : name, attributes: merged },
      actor,
    );
    if (!changed) throw unknownUser();
    return changed;
  });
}

/** The caller of an erasure. */
export interface Eraser {
  readonly actor: string;
  readonly isAdmin: boolean;
}

/** Steps of other features in the transaction that erases a user. */
export type OnErase = (tx: Tx, userId: number, by: Eraser) => Promise<void>;

export function eraseUser(
  { db, onErase }: { db: Database; onErase: OnErase },
  ref: UserRef,
  by: Eraser,
): Promise<{ id: number }> {
  return transactionBesideFences(db, async (tx) => {
    const user = await selectUserForUpdate(tx, ref);
    if (!user) throw unknownUser();
    await onErase(tx, user.id, by);
    await deleteUser(tx, user.id);
    return { id: user.id };
  });
}
