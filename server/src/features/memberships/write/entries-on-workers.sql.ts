import sql, { join, type Sql } from 'sql-template-tag';
import type { Tx } from '../../../postgres/database.ts';
import type { Mode } from '../../../segmentation/overrides.ts';
import { overrideEvents } from '../../outbox/outbox.ts';
import type { OverrideRow } from './override-rows.sql.ts';

/*
 * How a distributed database is written (ADR 113). What one statement does on a single server is a transaction in the files
 * `x-on-workers.sql.ts`, since Citus neither locks rows of several workers for a reader nor joins their tables with those of the
 * coordinator. Locks, ids and times are the coordinator's, and times are passed in as values.
 */

/** Far below the 65,535 parameters that a statement can have. */
export const rowsAtOnce = 5_000;
const fewRows = 300;

/** A row of history, and the override that it is about. */
export interface Entry extends OverrideRow {
  readonly op: 'add' | 'update' | 'remove' | 'expire';
  readonly at: Date;
  readonly actor: string;
}

export interface Event extends Pick<Entry, 'user_id' | 'segment_id' | 'at' | 'actor'> {
  /** The mode after the change; null for none. */
  readonly mode: Mode | null;
  readonly cause: 'expiry' | null;
}

function* partsOf<T>(rows: readonly T[]): Generator<T[]> {
  for (let from = 0; from < rows.length; from += rowsAtOnce) yield rows.slice(from, from + rowsAtOnce);
}

/** Numbers are drawn on the coordinator. The user is locked, so those of one user are in the order of the statements. */
export async function insertHistory(tx: Tx, entries: readonly Entry[]): Promise<void> {
  for (const part of partsOf(entries)) {
    await tx.write(sql`
      INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
      ${part.length <= fewRows ? valuesOf(part) : unnested(part)}`);
  }
}

/** Sent to the workers row by row, which is fast for a few rows. */
const valuesOf = (entries: readonly Entry[]): Sql =>
  sql`VALUES ${join(entries.map((e) => sql`(${e.user_id}, ${e.segment_id}, ${e.op}, ${e.mode}, ${e.at}, ${e.expires_at}, ${e.actor})`))}`;

/** Copied to the workers, which is faster for many rows. */
const unnested = (entries: readonly Entry[]): Sql => sql`
  SELECT e.user_id, e.segment_id, e.op, e.mode, e.at, e.expires_at, e.actor
  FROM unnest(
    ${entries.map(({ user_id }) => user_id)}::bigint[], ${entries.map(({ segment_id }) => segment_id)}::bigint[],
    ${entries.map(({ op }) => op)}::text[], ${entries.map(({ mode }) => mode)}::text[],
    ${entries.map(({ at }) => at)}::timestamptz[], ${entries.map(({ expires_at }) => expires_at)}::timestamptz[],
    ${entries.map(({ actor }) => actor)}::text[]
  ) AS e(user_id, segment_id, op, mode, at, expires_at, actor)`;

/** The outbox is a table of the coordinator. */
export async function insertEvents(tx: Tx, events: readonly Event[]): Promise<void> {
  for (const part of partsOf(events)) {
    await tx.write(
      overrideEvents(sql`
        SELECT e.segment_id, e.user_id, e.mode, e.at, e.cause, e.actor
        FROM unnest(
          ${part.map(({ segment_id }) => segment_id)}::bigint[], ${part.map(({ user_id }) => user_id)}::bigint[],
          ${part.map(({ mode }) => mode)}::text[], ${part.map(({ at }) => at)}::timestamptz[],
          ${part.map(({ cause }) => cause)}::text[], ${part.map(({ actor }) => actor)}::text[]
        ) AS e(segment_id, user_id, mode, at, cause, actor)`),
    );
  }
}
