import { isActive, isList } from '../../../segmentation/definition.ts';
import { unknownSegment } from '../../segments/segments.ts';
import { decidedSets } from './decided-users.ts';
import { setsSql } from './member-rule.sql.ts';
import { inOneMoment } from './one-moment.ts';
import { addCounts, countLists, countSets, type MaskCounts } from './sets.sql.ts';
import { slicesOf } from './slices.ts';
import type { ReadContext } from './with-definitions.ts';

export interface Overlap {
  readonly counts: Record<string, number>;
  readonly pairs: readonly { a: string; b: string; both: number }[];
  /** Users in all of them. */
  readonly all: number;
  /** Users in at least one. */
  readonly any: number;
}

/** How the members of several segments overlap, as of one moment. */
export async function overlapOf(context: ReadContext, slugs: readonly string[]): Promise<Overlap> {
  const masks = await inOneMoment(context, async (tx, definitions, moment): Promise<MaskCounts> => {
    const { now } = moment;
    const unknown = slugs.filter((slug) => !definitions.bySlug.has(slug));
    if (unknown.length > 0) throw unknownSegment(...unknown);
    const targets = slugs.flatMap((slug) => definitions.bySlug.get(slug) ?? []);
    if (targets.every((target) => isList(target) && isActive(target, now)))
      return countLists(
        tx,
        targets.map(({ id }) => id),
        now,
      );
    const sets = setsSql(definitions, targets, { now, isDistributed: tx.isDistributed });
    const counts = new Map<number, number>();
    if (sets) {
      for await (const slice of slicesOf(tx, moment)) addCounts(counts, await countSets(tx, sets, slice));
      return counts;
    }
    for await (const users of decidedSets(tx, definitions, targets, moment)) {
      addCounts(
        counts,
        users.map(({ mask }) => [mask, 1]),
      );
    }
    return counts;
  });
  return overlapIn(masks, slugs);
}

/** Counts users by the exact combination of segments they are in. */
export function overlapIn(masks: MaskCounts, slugs: readonly string[]): Overlap {
  const withAll = (bits: number) => {
    let sum = 0;
    for (const [mask, count] of masks) if ((mask & bits) === bits) sum += count;
    return sum;
  };
  const everyone = withAll(0);
  return {
    counts: Object.fromEntries(slugs.map((slug, i) => [slug, withAll(1 << i)])),
    pairs: slugs.flatMap((a, i) =>
      slugs.slice(i + 1).map((b, j) => ({ a, b, both: withAll((1 << i) | (1 << (i + 1 + j))) })),
    ),
    all: withAll((1 << slugs.length) - 1),
    any: everyone - (masks.get(0) ?? 0),
  };
}
