import sql, { type Sql } from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import { inForm } from '../../../postgres/forms.ts';
import { bigintArray } from '../../../postgres/statement.ts';
import type { JsonObject } from '../../../segmentation/conditions/json.ts';
import type { Mode } from '../../../segmentation/overrides.ts';
import { momentOfStatement } from '../moment.sql.ts';
import { ofUser } from '../of-user.sql.ts';
import { stands } from '../stands.sql.ts';
import { currentRevision } from './current-revision.sql.ts';
import type { SeenRevision } from './seen-revision.ts';
import { selectPairsOnWorkers } from './states-on-workers.sql.ts';

/** A user, by external id, and a segment; null for an unknown slug. */
export interface LookedUpPair {
  readonly externalId: string;
  readonly segmentId: number | null;
  readonly needsAttributes: boolean;
}

/** The stored state of a pair. */
export interface FoundPair {
  /** The mode of the override in force. */
  readonly mode: Mode | null;
  /** Null for an unknown user, or if not requested. */
  readonly attributes: JsonObject | null;
}

export interface FoundPairs {
  readonly revision: SeenRevision;
  /** The moment of the statement, in milliseconds since 1970. */
  readonly now: number;
  /** In the order asked. */
  readonly pairs: readonly FoundPair[];
}

// Everything is looked up by key, as in segments-of-user.sql.ts.
const userId = sql`(SELECT k.user_id FROM user_keys k WHERE k.external_id = a.external_id)`;
const modeOf = (user: Sql) => `
  (SELECT m.mode FROM memberships m
    WHERE ${ofUser(sql`m`, user).text} AND m.segment_id = a.segment_id AND ${stands(sql`m`).text})`;

/** One row for all pairs, since each row costs the client more than what it brings: a letter for each. */
const modes = {
  name: 'memberships-modes',
  text: `
    SELECT d.revision, ${momentOfStatement.text} AS now, p.modes
    FROM ${currentRevision.text} d
      CROSS JOIN (
        SELECT string_agg(CASE ${modeOf(userId)} WHEN 'include' THEN 'i' WHEN 'exclude' THEN 'e' ELSE '-' END, '' ORDER BY a.ord)
          AS modes
        FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[])) WITH ORDINALITY AS a(external_id, segment_id, ord)
      ) p`,
};
const modeByLetter: Readonly<Record<string, Mode>> = { i: 'include', e: 'exclude' };

// Revision and moment are the same in all rows: only the first brings them. With OFFSET 0 moment and user are looked up once.
const pairs = {
  name: 'memberships-pairs',
  text: `
    SELECT CASE a.ord WHEN 1 THEN d.revision END, CASE a.ord WHEN 1 THEN t.now END, ${modeOf(sql`q.id`)} AS mode,
      CASE WHEN a.needs_attributes THEN (SELECT u.attributes FROM users u WHERE u.id = q.id) END AS attributes
    FROM ${currentRevision.text} d
      CROSS JOIN (SELECT ${momentOfStatement.text} AS now OFFSET 0) t
      CROSS JOIN unnest((SELECT $1::text[]), (SELECT $2::bigint[]), (SELECT $3::boolean[]))
        WITH ORDINALITY AS a(external_id, segment_id, needs_attributes, ord)
      CROSS JOIN LATERAL (SELECT ${userId.text} AS id OFFSET 0) q
    ORDER BY a.ord`,
};

export function selectPairs(db: Db, asked: readonly LookedUpPair[]): Promise<FoundPairs> {
  return inForm(db, {
    single: () => selectPairsAtOnce(db, asked),
    distributed: async () => {
      const refs = asked.map(({ externalId }) => ({ externalId }));
      const segmentIds = asked.flatMap(({ segmentId }) => segmentId ?? []);
      const attributes = asked.some(({ needsAttributes }) => needsAttributes);
      const { users, ...seen } = await selectPairsOnWorkers(db, refs, segmentIds, { attributes });
      return {
        ...seen,
        pairs: asked.map(({ segmentId, needsAttributes }, i) => ({
          mode: users[i]?.modes?.[String(segmentId)] ?? null,
          attributes: needsAttributes ? (users[i]?.attributes ?? null) : null,
        })),
      };
    },
  });
}

async function selectPairsAtOnce(db: Db, asked: readonly LookedUpPair[]): Promise<FoundPairs> {
  const values = [asked.map(({ externalId }) => externalId), bigintArray(asked, ({ segmentId }) => segmentId)];
  if (!asked.some(({ needsAttributes }) => needsAttributes)) {
    const [[revision, now, letters] = [0, 0, '']] = await db.rows<[revision: number, now: number, modes: string]>({
      ...modes,
      values,
    });
    return {
      revision,
      now,
      pairs: asked.map((_, i) => ({ mode: modeByLetter[letters[i] ?? ''] ?? null, attributes: null })),
    };
  }
  const rows = await db.rows<
    [revision: number | null, now: number | null, mode: Mode | null, attributes: JsonObject | null]
  >({ ...pairs, values: [...values, asked.map(({ needsAttributes }) => needsAttributes)] });
  return {
    revision: rows[0]?.[0] ?? 0,
    now: rows[0]?.[1] ?? 0,
    pairs: rows.map(([, , mode, attributes]) => ({ mode, attributes })),
  };
}
