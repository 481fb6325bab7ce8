import { invalid, type UserRef } from '@kohort/contract';
import type { Database } from '../../../postgres/database.ts';
import { decideAll, keyOf } from '../../../segmentation/decide.ts';
import { createPastDefinitions } from '../../segments/past-definitions.ts';
import { unknownUser } from '../../users/users.ts';
import { selectPastUser } from './at.sql.ts';

/** The slugs that the segments of a user had at a moment, sorted: what the live call would have answered then. */
export type SegmentsAt = (user: UserRef, at: Date) => Promise<string[]>;

export function createAsOf(db: Database): SegmentsAt {
  const definitionsAt = createPastDefinitions();

  return (ref, at) =>
    db.transaction(
      async (tx) => {
        const user = await selectPastUser(tx, ref, at);
        if (!user) throw unknownUser();
        if (!user.is_past) throw invalid('/query/at', 'must not be in the future');
        // Before they were registered nothing covered them, percentages included.
        if (!user.existed) return [];
        const subject = {
          key: keyOf(user),
          attributes: user.attributes,
          overrides: new Map(user.overrides.map(({ segment_id, mode }) => [segment_id, mode])),
        };
        return decideAll(await definitionsAt(tx, at), subject)
          .map(({ definition }) => definition.slug)
          .sort();
      },
      { isolation: 'repeatable read', readOnly: true },
    );
}
