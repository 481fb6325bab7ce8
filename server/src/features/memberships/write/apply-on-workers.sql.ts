import sql, { join, type Sql } from 'sql-template-tag';
import type { Transactor, Tx } from '../../../postgres/database.ts';
import { isFenced } from '../../fences/fences.ts';
import { lockRows, selectIdsByRef } from '../../users/users.ts';
import { stands } from '../stands.sql.ts';
import { type Entry, insertEvents, insertHistory } from './entries-on-workers.sql.ts';
import type { Outcome, OverrideChange, OverrideKind } from './override-change.ts';
import { isPlainList, type OverrideRow, overrideColumns, setOverrides } from './override-rows.sql.ts';
import { takeTurns } from './turns-on-workers.sql.ts';

interface LiveSegment {
  readonly id: number;
  readonly slug: string;
  readonly is_list: boolean;
  readonly followed: boolean;
  /** Whether there is any fence. */
  readonly is_fenced: boolean;
}

/** A change whose user and segment exist. */
interface Found {
  readonly place: number;
  readonly userId: number;
  readonly segment: LiveSegment;
  readonly kind: OverrideKind;
  readonly expiresAt: Date | null;
  readonly actor: string;
}

const distinct = (ids: readonly (number | undefined)[]) => [...new Set(ids.filter((id) => id !== undefined))];
const pairOf = (userId: number, segmentId: number) => `${userId} ${segmentId}`;

/** After the turns were taken: none of these is deleted before the transaction ends. */
async function selectLive(tx: Tx, slugs: readonly string[]): Promise<Map<string, LiveSegment>> {
  const rows = await tx.query<LiveSegment>(sql`
    SELECT s.id, s.slug, ${isPlainList} AS is_list, s.followed,
      EXISTS (SELECT 1 FROM fences f) AS is_fenced
    FROM segments s
    WHERE s.slug = ANY(${slugs}::text[]) AND s.deleted_at IS NULL`);
  return new Map(rows.map((row) => [row.slug, row]));
}

async function selectFenced(tx: Tx, found: readonly Found[]): Promise<ReadonlySet<number>> {
  if (!found.some(({ segment }) => segment.is_fenced)) return new Set();
  const rows = await tx.query<{ place: number }>(sql`
    SELECT p.place
    FROM unnest(
      ${found.map(({ place }) => place)}::bigint[], ${found.map(({ userId }) => userId)}::bigint[],
      ${found.map(({ segment }) => segment.id)}::bigint[]
    ) AS p(place, user_id, segment_id)
    WHERE ${isFenced(sql`p.user_id`, sql`p.segment_id`)}`);
  return new Set(rows.map(({ place }) => place));
}

interface Changed extends OverrideRow {
  readonly op: 'add' | 'update' | 'remove';
}

async function upsert(tx: Tx, found: readonly Found[], now: Date): Promise<Changed[]> {
  if (found.length === 0) return [];
  const rows = found.map((f) => sql`(${f.userId}, ${f.segment.id}, ${f.kind}, ${now}, ${f.expiresAt})`);
  return tx.write<Changed>(sql`
    INSERT INTO memberships AS m (user_id, segment_id, mode, since, expires_at)
    VALUES ${join(rows)}
    ${setOverrides}`);
}

const pairsOf = (found: readonly Found[]): Sql => sql`unnest(
  ${found.map(({ userId }) => userId)}::bigint[], ${found.map(({ segment }) => segment.id)}::bigint[],
  ${found.map(({ kind }) => kind)}::text[]
) AS p(user_id, segment_id, kind)`;
const usersOf = (found: readonly Found[]): Sql => sql`${found.map(({ userId }) => userId)}::bigint[]`;

/** `leave` and `remove` drop an include, `auto` any override. */
async function drop(tx: Tx, found: readonly Found[], now: Date): Promise<Changed[]> {
  if (found.length === 0) return [];
  return tx.write<Changed>(sql`
    DELETE FROM memberships m
    USING ${pairsOf(found)}
    WHERE m.user_id = ANY(${usersOf(found)}) AND m.user_id = p.user_id AND m.segment_id = p.segment_id
      AND (p.kind = 'auto' OR m.mode = 'include') AND ${stands(sql`m`, sql`${now}::timestamptz`)}
    RETURNING ${overrideColumns}, 'remove' AS op`);
}

/** Of requested overrides that were not set: the pairs that already are as requested. The others have an expired row in the way. */
async function selectAsAsked(tx: Tx, found: readonly Found[], now: Date): Promise<ReadonlySet<string>> {
  if (found.length === 0) return new Set();
  const rows = await tx.query<OverrideRow>(sql`
    SELECT ${overrideColumns}
    FROM memberships m
    WHERE m.user_id = ANY(${usersOf(found)}) AND m.segment_id = ANY(${found.map(({ segment }) => segment.id)}::bigint[])
      AND ${stands(sql`m`, sql`${now}::timestamptz`)}`);
  const standing = new Map(rows.map((row) => [pairOf(row.user_id, row.segment_id), row]));
  const asAsked = found
    .map((one) => ({ one, row: standing.get(pairOf(one.userId, one.segment.id)) }))
    .filter(({ one, row }) => row?.mode === one.kind && row.expires_at?.getTime() === one.expiresAt?.getTime());
  return new Set(asAsked.map(({ one }) => pairOf(one.userId, one.segment.id)));
}

function expiryOf({ expiresAt, ttl }: OverrideChange, now: Date): Date | null {
  return ttl === null ? expiresAt : new Date(now.getTime() + ttl * 1000);
}

const doneAs = { add: 'added', update: 'updated', remove: 'removed' } as const;

/** Like `applyChanges`: distinct pairs, with an outcome for each. */
export async function applyOnWorkers(db: Transactor, changes: readonly OverrideChange[]): Promise<Outcome[]> {
  const ids = await selectIdsByRef(
    db,
    changes.map(({ user }) => user),
  );
  return db.transaction((tx) => applyWithin(tx, changes, ids));
}

async function applyWithin(
  tx: Tx,
  changes: readonly OverrideChange[],
  ids: readonly (number | undefined)[],
): Promise<Outcome[]> {
  const now = await takeTurns(tx, distinct(ids));
  const live = await selectLive(tx, [...new Set(changes.map(({ slug }) => slug))]);
  const found: Found[] = [];
  for (const [place, change] of changes.entries()) {
    const { slug, kind, expiresAt, actor } = change;
    const [userId, segment] = [ids[place], live.get(slug)];
    if (userId === undefined || !segment || (expiresAt !== null && expiresAt <= now)) continue;
    found.push({ place, userId, segment, kind, expiresAt: expiryOf(change, now), actor });
  }
  const fenced = await selectFenced(tx, found);
  // An import may have locked the users of fenced pairs: waiting for them would make every caller wait.
  const users = await lockRows(tx, distinct(ids.filter((_, place) => !fenced.has(place))));
  const isKnown = (userId: number | undefined) => userId !== undefined && users.has(userId);
  const outcomes = changes.map(({ expiresAt }, place): Outcome => {
    if (expiresAt !== null && expiresAt <= now) return 'past';
    if (fenced.has(place)) return 'fenced';
    return isKnown(ids[place]) ? 'segment_unknown' : 'user_unknown';
  });
  const open = found.filter(({ place, userId }) => !fenced.has(place) && isKnown(userId));
  for (const [place, outcome] of await changeFound(tx, open, now)) outcomes[place] = outcome;
  return outcomes;
}

async function changeFound(tx: Tx, found: readonly Found[], now: Date): Promise<Map<number, Outcome>> {
  const outcomes = new Map<number, Outcome>();
  const sets: Found[] = [];
  const drops: Found[] = [];
  for (const one of found) {
    const { place, kind, segment } = one;
    if (kind === 'remove' && !segment.is_list) outcomes.set(place, 'dynamic');
    else (kind === 'include' || kind === 'exclude' ? sets : drops).push(one);
  }
  const changed = new Map<string, Changed>();
  for (const row of [...(await upsert(tx, sets, now)), ...(await drop(tx, drops, now))]) {
    changed.set(pairOf(row.user_id, row.segment_id), row);
  }
  const changedOf = ({ userId, segment }: Found) => changed.get(pairOf(userId, segment.id));
  const unset = sets.filter((one) => !changedOf(one));
  const asAsked = await selectAsAsked(tx, unset, now);
  const isExpired = new Set(unset.filter((one) => !asAsked.has(pairOf(one.userId, one.segment.id))));
  const entries: (Entry & { followed: boolean })[] = [];
  for (const one of [...sets, ...drops]) {
    const row = changedOf(one);
    if (row) entries.push({ ...row, at: now, actor: one.actor, followed: one.segment.followed });
    outcomes.set(one.place, row ? doneAs[row.op] : isExpired.has(one) ? 'expired' : 'unchanged');
  }
  await insertHistory(tx, entries);
  await insertEvents(
    tx,
    entries
      .filter(({ followed }) => followed)
      .map(({ op, mode, ...entry }) => ({ ...entry, mode: op === 'remove' ? null : mode, cause: null })),
  );
  return outcomes;
}
