import { type Cursors, pageOf, placeWithin } from '../../../paging/cursors.ts';
import type { Mode } from '../../../segmentation/overrides.ts';
import { pagesPlannerOff } from './members-of-segment.sql.ts';
import { find } from './members-of-segment.ts';
import { inOneMoment } from './one-moment.ts';
import { type OverrideRow, selectOverrides } from './overrides.sql.ts';
import type { ReadContext } from './with-definitions.ts';

/** The overrides of a segment in force, by user, a page at a time. */
export async function overridesPage(
  context: ReadContext & { readonly cursors: Cursors },
  slug: string,
  { mode = 'any', limit = 100, cursor }: { mode?: Mode | 'any'; limit?: number; cursor?: string },
): Promise<{ overrides: OverrideRow[]; next_cursor: string | null }> {
  const { cursors } = context;
  const decoded = cursor === undefined ? undefined : cursors.decode('overrides', cursor);
  return inOneMoment(
    context,
    async (tx, definitions, { now }) => {
      const { id } = find(definitions, slug);
      const [after = 0] = placeWithin(id, decoded) ?? [];
      const found = await selectOverrides(tx, id, { mode, after: Number(after), limit: limit + 1, now });
      const { rows, next_cursor } = pageOf(found, limit, (last) => cursors.encode('overrides', [id, last.id]));
      return { overrides: rows, next_cursor };
    },
    pagesPlannerOff,
  );
}
