import { invalid, type UserRef } from '@kohort/contract';
import { Turns } from '../../../concurrency/turns.ts';
import type { Database } from '../../../postgres/database.ts';
import { decideAll } from '../../../segmentation/decide.ts';
import { keyOf } from '../../../segmentation/subject.ts';
import { type KeptDefinitions, type KeyTags, pastDefinitions, seenIds } from '../../segments/segments.ts';
import { unknownUser } from '../../users/users.ts';
import { selectPastUser } from './at.sql.ts';

export interface PastContext {
  readonly db: Database;
  readonly kept: KeptDefinitions;
}

/** The sorted slugs of the segments a user was in at a moment, as the live call would have answered then. */
export function segmentsAt({ db, kept }: PastContext, ref: UserRef, at: Date, tags?: KeyTags): Promise<string[]> {
  return db.transaction(
    async (tx) => {
      const user = await selectPastUser(tx, ref, at);
      if (!user) throw unknownUser();
      if (!user.is_past) throw invalid('/query/at', 'must not be in the future');
      // Before registration a user was in no segment, percentages included.
      if (!user.existed) return [];
      const subject = {
        key: keyOf(user),
        attributes: user.attributes,
        overrides: new Map(user.overrides.map(({ segment_id, mode }) => [segment_id, mode])),
      };
      const steps = decideAll(await pastDefinitions(kept, tx, at), subject, at.getTime());
      const { memberships } = await new Turns().take(steps);
      const ids = memberships.map(({ definition }) => definition.id);
      const seen = await seenIds(tx, tags, ids);
      return memberships
        .filter(({ definition }) => seen.has(definition.id))
        .map(({ definition }) => definition.slug)
        .sort();
    },
    { isolation: 'repeatable read', readOnly: true },
  );
}
