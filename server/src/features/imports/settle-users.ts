import { maxAttributesBytes, maxJobErrors } from '@kohort/contract';
import { Turns } from '../../concurrency/turns.ts';
import { type JobError, JobFailed, type JobRow } from '../../jobs/queue.ts';
import type { Tx } from '../../postgres/database.ts';
import { StaleRead } from '../../postgres/stale-read.ts';
import { type AnyObject, type CurrentUser, mergePatch, selectUsersById, type UserState } from '../users/users.ts';
import { selectPlanPages } from './staging.sql.ts';
import { type PlannedUser, selectPlanned, selectStretchEnd } from './users.sql.ts';

/** The effect of a file on one user. */
export interface Settled {
  readonly state: UserState;
  /** The user before the import; undefined for a new one. */
  readonly before: CurrentUser | undefined;
  /** All rows about the user, unless they are too many to keep in memory. */
  readonly rows: readonly PlannedUser[] | undefined;
}

/** The result of the rows about a user so far. */
interface Folded {
  readonly before: CurrentUser | undefined;
  readonly state: UserState;
  /** The attributes of the state, unless nothing needed them parsed. */
  readonly attributes: AnyObject | undefined;
  readonly rows: readonly PlannedUser[] | undefined;
}

const noAttributes = '{}';
/** The text of the attributes that a user had before: the first row replaces it. */
const beforeRows = '';

function beginning(row: PlannedUser, before: CurrentUser | undefined): Folded {
  const { name, attributes } = before ?? { name: null, attributes: undefined };
  const text = attributes ? beforeRows : noAttributes;
  const state = { id: row.user_id ?? 0, externalId: row.external_id, name, attributes: text };
  return { before, state, attributes, rows: [] };
}

/**
 * Most rows are the first about a new user. Their patch is the result as it is: it was staged as JSON.stringify writes what was parsed, so
 * it has no name twice, and no white space that would count.
 */
function merge(
  { attributes, state }: Folded,
  { patch }: PlannedUser,
): { text: string; attributes: AnyObject | undefined } {
  // A null removes an attribute, so it must not stay.
  if (state.attributes === noAttributes && !patch.includes('null')) return { text: patch, attributes: undefined };
  const merged = mergePatch(attributes ?? (JSON.parse(state.attributes) as AnyObject), JSON.parse(patch) as AnyObject);
  return { text: JSON.stringify(merged), attributes: merged };
}

/** Applies rows one after another, like calls. Returns the error of a row that exceeds a limit. */
async function fold(start: Folded, rows: readonly PlannedUser[], turns: Turns): Promise<Folded | JobError> {
  const { before } = start;
  const { id, externalId } = start.state;
  let folded = start;
  for (const row of rows) {
    if (turns.isOver) await turns.pause();
    const { text, attributes } = merge(folded, row);
    const bytes = Buffer.byteLength(text);
    if (bytes > maxAttributesBytes) {
      const message = `the attributes come to ${bytes} bytes of JSON; at most ${maxAttributesBytes} are kept`;
      return { line: row.line, message };
    }
    const name = row.has_name ? row.name : folded.state.name;
    folded = { before, state: { id, externalId, name, attributes: text }, attributes, rows: start.rows };
  }
  return { ...folded, rows: start.rows && [...start.rows, ...rows] };
}

/** The result of rows about users who turn out to exist. */
export async function settleAgain(
  tx: Tx,
  users: readonly { readonly id: number; readonly rows: readonly PlannedUser[] }[],
): Promise<Settled[]> {
  const groups = users.map(({ id, rows }) => rows.map((row) => ({ ...row, user_id: id, fresh: false })));
  return foldGroups(tx, groups, { lock: true, carried: undefined });
}

async function foldGroups(
  tx: Tx,
  groups: readonly (readonly PlannedUser[])[],
  { lock, carried }: { lock: boolean; carried: Folded | undefined },
): Promise<Folded[]> {
  const ids = groups.flatMap(([row]) =>
    row && !row.fresh && row.user_id !== null && row.user_id !== carried?.state.id ? [row.user_id] : [],
  );
  const current = new Map((await selectUsersById(tx, ids, { lock })).map((user) => [user.id, user]));
  const turns = new Turns();
  const found: Folded[] = [];
  const errors: JobError[] = [];
  for (const rows of groups) {
    const [first] = rows;
    if (!first) continue;
    const isCarried = carried !== undefined && carried.state.id === first.user_id;
    const before = first.fresh ? undefined : current.get(first.user_id ?? 0);
    if (!isCarried && !first.fresh && !before) throw new StaleRead('a user was erased');
    const folded = await fold(isCarried ? carried : beginning(first, before), rows, turns);
    if ('message' in folded) errors.push(folded);
    else found.push(folded);
    if (errors.length >= maxJobErrors) break;
  }
  if (errors.length > 0) throw new JobFailed(errors);
  return found;
}

/**
 * The users of a plan, slice by slice, with the result of their rows. A user whose rows continue in the next slice comes with
 * that one; the result so far is carried over, not the rows, since they may be the whole file.
 */
export async function eachSettled(
  tx: Tx,
  job: Pick<JobRow, 'id' | 'rows'>,
  { lock }: { lock: boolean },
  visit: (users: readonly Settled[], rows: number) => Promise<void>,
): Promise<void> {
  const pages = await selectPlanPages(tx, job);
  let carried: Folded | undefined;
  for (let from = 0; from < pages; ) {
    const to = await selectStretchEnd(tx, job.id, from);
    const rows = (await selectPlanned(tx, job.id, { from, to })).filter(({ user_id }) => user_id !== null);
    const groups = [...Map.groupBy(rows, ({ user_id }) => user_id).values()];
    const found = await foldGroups(tx, groups, { lock, carried });
    // Rows without a user come last, so the carried user may have no more rows.
    if (carried && found[0]?.state.id !== carried.state.id) found.unshift(carried);
    const last = to < pages ? found.pop() : undefined;
    carried = last && { ...last, rows: undefined };
    await visit(found, rows.length);
    from = to;
  }
  if (carried) await visit([carried], 0);
}
