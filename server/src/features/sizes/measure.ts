import { isPlainList } from '../../segmentation/definition.ts';
import { countOfMembers, type ReadContext } from '../memberships/memberships.ts';
import { freshDefinitions } from '../segments/segments.ts';
import { insertSize, orderByAge, thinSizes } from './sizes.sql.ts';

/** After this time no further segment is started; the next run starts with those left out. */
const budgetMs = 120_000;

/** Counts the members of segments with rules, those counted longest ago first. */
export async function measureSizes(context: ReadContext, signal?: AbortSignal, timeMs = budgetMs): Promise<void> {
  const { byId } = await freshDefinitions(context.definitions);
  const rules = [...byId.values()].filter((definition) => !isPlainList(definition));
  const end = performance.now() + timeMs;
  for (const id of await orderByAge(
    context.db,
    rules.map((rule) => rule.id),
  )) {
    signal?.throwIfAborted();
    const slug = byId.get(id)?.slug;
    // A segment that takes too long, or was deleted meanwhile, does not stop the others.
    const count = slug === undefined ? undefined : await countOfMembers(context, slug).catch(() => undefined);
    if (count !== undefined) await insertSize(context.db, id, count);
    if (performance.now() > end) break;
  }
  await thinSizes(context.db);
}
