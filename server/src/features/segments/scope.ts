import { Problem } from '@kohort/contract';
import type { Db } from '../../postgres/database.ts';
import { parseCondition } from '../../segmentation/conditions/parse.ts';
import { references } from '../../segmentation/conditions/references.ts';
import { selectAllSeenSlugs, selectSeenIds, selectSeenSlugs } from './scope.sql.ts';

/** The tags of the caller's key. It sees and changes only segments that carry one of them; undefined: all. */
export type KeyTags = readonly string[] | undefined;

/** The slugs among these whose segments the caller sees. */
export async function seenSlugs(db: Db, tags: KeyTags, slugs: readonly string[]): Promise<ReadonlySet<string>> {
  if (!tags || slugs.length === 0) return new Set(slugs);
  return new Set(await selectSeenSlugs(db, tags, slugs));
}

/** The segments that a key with tags sees, limited to the requested ones. */
export function slugsWithTags(db: Db, tags: readonly string[], among?: readonly string[]): Promise<string[]> {
  return among ? selectSeenSlugs(db, tags, among) : selectAllSeenSlugs(db, tags);
}

/** Likewise by id, deleted segments included. */
export async function seenIds(db: Db, tags: KeyTags, ids: readonly number[]): Promise<ReadonlySet<number>> {
  if (!tags || ids.length === 0) return new Set(ids);
  return new Set(await selectSeenIds(db, tags, ids));
}

export function unknownSegment(...slugs: string[]): Problem {
  return new Problem(
    'segment_unknown',
    slugs.length === 1 ? `There is no segment ${slugs[0]}.` : `There are no segments ${slugs.join(', ')}.`,
  );
}

/** @throws Problem 404: segments that the caller does not see are treated as missing. */
export async function refuseUnseen(db: Db, tags: KeyTags, slugs: readonly string[]): Promise<void> {
  if (!tags) return;
  const seen = await seenSlugs(db, tags, slugs);
  const unseen = slugs.filter((slug) => !seen.has(slug));
  if (unseen.length > 0) throw unknownSegment(...unseen);
}

/** @throws Problem 400 for each segment that a condition names and the caller does not see. */
export async function refuseUnseenInCondition(
  db: Db,
  tags: KeyTags,
  condition: Readonly<Record<string, unknown>> | null | undefined,
): Promise<void> {
  if (!tags || !condition) return;
  const parsed = parseCondition(condition, '/body/condition');
  // Errors in the condition itself are reported when it is stored.
  if (!parsed.ok) return;
  const named = references(parsed.condition);
  const seen = await seenSlugs(
    db,
    tags,
    named.map(({ segment }) => segment),
  );
  const errors = named
    .filter(({ segment }) => !seen.has(segment))
    .map(({ at, segment }) => ({ path: at, message: `names the unknown segment ${segment}` }));
  const [first] = errors;
  if (first) throw new Problem('invalid', `${first.path} ${first.message}`, { errors: errors.slice(0, 20) });
}

/** @throws Problem 403 if a segment would carry none of the key's tags. */
export function refuseUntagged(tags: KeyTags, own: readonly string[]): void {
  if (!tags || own.some((tag) => tags.includes(tag))) return;
  throw new Problem('forbidden', `With this key a segment must carry one of the tags ${tags.join(', ')}.`);
}
