import type { Turns } from '../../../concurrency/turns.ts';
import { decideOne } from '../../../segmentation/decide.ts';
import { isList } from '../../../segmentation/definition.ts';
import type { Definitions } from '../../../segmentation/definitions.ts';
import type { Mode } from '../../../segmentation/overrides.ts';
import { keyOf } from '../../../segmentation/subject.ts';
import type { UserRow } from '../../users/users.ts';
import type { Wanted } from './ledger.ts';
import type { OverrideKind } from './override-change.ts';

/**
 * Decides how to remove a user so that they are out of every segment once all changes are made: an include is dropped, and if the
 * rule would then let the user in, an exclude is set. Segments that conditions name come first, since removing the user from one
 * may let them into the next.
 */
export async function settleRemovals(
  turns: Turns,
  definitions: Definitions,
  user: Pick<UserRow, 'id' | 'external_id' | 'attributes'>,
  standing: ReadonlyMap<number, Mode>,
  wanted: readonly Pick<Wanted, 'slug' | 'kind'>[],
  now: number,
): Promise<OverrideKind[]> {
  const overrides = new Map(standing);
  const removals = new Set<number>();
  for (const { slug, kind } of wanted) {
    const definition = definitions.bySlug.get(slug);
    if (!definition) continue;
    if (kind === 'include' || kind === 'exclude') overrides.set(definition.id, kind);
    else if (kind === 'auto' || overrides.get(definition.id) === 'include') overrides.delete(definition.id);
    if (kind === 'remove') removals.add(definition.id);
  }
  const excluded = new Set<number>();
  for (const definition of definitions.dynamic) {
    if (!removals.has(definition.id)) continue;
    const subject = { key: keyOf(user), attributes: user.attributes, overrides };
    const { member } = await turns.take(decideOne(definitions, definition, subject, now));
    if (member) {
      excluded.add(definition.id);
      overrides.set(definition.id, 'exclude');
    }
  }
  return wanted.map(({ slug, kind }) => {
    const definition = definitions.bySlug.get(slug);
    if (kind !== 'remove' || !definition || isList(definition)) return kind;
    return excluded.has(definition.id) ? 'exclude' : 'leave';
  });
}
