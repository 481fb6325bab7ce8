import { invalid } from '@kohort/contract';
import type { Db } from '../../postgres/database.ts';
import { isPlainList } from '../../segmentation/definition.ts';
import { countOf, inOneMoment, type ReadContext } from '../memberships/memberships.ts';
import { unknownSegment } from '../segments/segments.ts';
import { type Size, selectLife, selectListChanges, selectMeasured } from './sizes.sql.ts';

export interface SizesQuery {
  readonly from: Date | undefined;
  readonly to: Date | undefined;
  readonly points: number;
}

const defaultRangeMs = 30 * 24 * 3_600_000;

/** Evenly spaced times including both ends, in whole milliseconds. */
export function spread(from: Date, to: Date, points: number): Date[] {
  const [start, length] = [from.getTime(), to.getTime() - from.getTime()];
  const times = Array.from({ length: points }, (_, i) => Math.round(start + (length * i) / (points - 1)));
  return [...new Set(times)].map((time) => new Date(time));
}

/** Exact for every point, since history has every change. */
async function listSizes(tx: Db, segmentId: number, times: readonly Date[]): Promise<Size[]> {
  const changes = await selectListChanges(tx, segmentId, times);
  let count = 0;
  return times.map((at, i) => {
    count += changes.get(i) ?? 0;
    return { at, count };
  });
}

/**
 * The size of a segment over time. For a plain list exact, at evenly spaced points. For a segment with a rule as measured, and
 * exact for now. For one that became a list, each for its own period.
 */
export function sizesOf(context: ReadContext, slug: string, query: SizesQuery): Promise<Size[]> {
  return inOneMoment(context, async (tx, definitions, moment) => {
    const definition = definitions.bySlug.get(slug);
    const life = definition && (await selectLife(tx, definition.id));
    if (!definition || !life) throw unknownSegment(slug);
    const { now, created_at, list_since } = life;
    const to = query.to && query.to < now ? query.to : now;
    const asked = query.from ?? new Date(to.getTime() - defaultRangeMs);
    if (asked >= to) throw invalid('/query/from', query.to ? 'must be before to' : 'must be in the past');
    const from = asked > created_at ? asked : created_at;
    if (from > to) return [];
    // Before that it had a rule. A segment that has a rule now is treated as if it always had one.
    const listFrom = !isPlainList(definition) ? undefined : list_since && list_since > from ? list_since : from;
    const ruleUntil = listFrom === undefined || listFrom > to ? to : listFrom;
    // Each period gets its share of the points.
    const share = to > from ? (ruleUntil.getTime() - from.getTime()) / (to.getTime() - from.getTime()) : 0;
    const slots = Math.min(query.points - (listFrom === undefined ? 1 : 2), Math.round(share * query.points));
    const sizes: Size[] = [];
    if (slots > 0) sizes.push(...(await selectMeasured(tx, definition.id, { from, to: ruleUntil, slots })));
    if (listFrom === undefined) {
      if (to === now) sizes.push({ at: now, count: await countOf(tx, definitions, definition, moment) });
    } else if (listFrom <= to) {
      const times = spread(listFrom, to, query.points - Math.max(0, slots));
      sizes.push(...(await listSizes(tx, definition.id, times)));
    }
    return sizes;
  });
}
