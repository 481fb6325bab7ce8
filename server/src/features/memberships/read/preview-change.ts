import { Problem } from '@kohort/contract';
import type { Db } from '../../../postgres/database.ts';
import type { JsonObject } from '../../../segmentation/conditions/json.ts';
import { compileDefinition, type Definition, type Definitions, inOrder } from '../../../segmentation/definition.ts';
import { unknownSegment } from '../../segments/segments.ts';
import { decidedSets } from './decided-users.ts';
import { setsSql } from './member-rule.sql.ts';
import { inOneMoment } from './one-moment.ts';
import { type SampleRow, selectSample } from './preview.sql.ts';
import { countSets, type MaskCounts, sampleDifference } from './sets.sql.ts';
import type { ReadContext } from './with-definitions.ts';

export interface ChangePreview {
  /** Members after the change. */
  readonly count: number;
  readonly total: number;
  readonly entering: number;
  readonly leaving: number;
  readonly sample_entering: readonly SampleRow[];
  readonly sample_leaving: readonly SampleRow[];
}

/** What a change sets; absent keeps. */
export interface RuleChange {
  readonly percentage?: number | null;
  readonly condition?: {
    readonly stored: JsonObject | null;
    readonly referenced: readonly { id: number; at: string }[];
  };
}

const sampleRows = 10;
/** Bits of a mask: a user is in before the change, and after it. */
const [before, after] = [1, 2];

function refuseCycle(definitions: Definitions, id: number, { condition }: RuleChange): void {
  const errors = (condition?.referenced ?? []).flatMap(({ id: named, at }) => {
    const definition = definitions.byId.get(named);
    const closes = definition && inOrder(definitions.byId, [definition]).some((one) => one.id === id);
    return closes ? [{ path: at, message: 'makes the segment depend on itself' }] : [];
  });
  if (errors.length > 0) {
    throw new Problem('invalid', errors.map(({ path, message }) => `${path} ${message}`).join('; '), { errors });
  }
}

function changed(definition: Definition, { percentage, condition }: RuleChange): Definition {
  const { id, slug, salt } = definition;
  const base = condition
    ? compileDefinition({ id, slug, salt, percentage: definition.percentage, condition: condition.stored })
    : definition;
  return percentage === undefined ? base : { ...base, percentage };
}

type Found = { masks: MaskCounts; entering: readonly SampleRow[]; leaving: readonly SampleRow[] };

async function compareInSql(
  tx: Db,
  definitions: Definitions,
  sides: readonly [Definition, Definition],
): Promise<Found | undefined> {
  const sql = setsSql(definitions, sides);
  const [was, becomes] = sql?.sets ?? [];
  if (!sql || !was || !becomes) return undefined;
  const masks = await countSets(tx, sql);
  // Where there is nobody, looking for a sample would read every user again.
  const sample = (mask: number, inside: typeof was, outside: typeof was) =>
    masks.has(mask) ? sampleDifference(tx, sql.joins, { inside, outside }, sampleRows) : [];
  return { masks, entering: await sample(after, becomes, was), leaving: await sample(before, was, becomes) };
}

async function compareInProcess(
  tx: Db,
  definitions: Definitions,
  sides: readonly [Definition, Definition],
): Promise<Found> {
  const masks = new Map<number, number>();
  const shown: Record<number, number[]> = { [before]: [], [after]: [] };
  for await (const users of decidedSets(tx, definitions, sides, { bounded: true })) {
    for (const { id, mask } of users) {
      masks.set(mask, (masks.get(mask) ?? 0) + 1);
      const ids = shown[mask];
      if (ids && ids.length < sampleRows) ids.push(id);
    }
  }
  return {
    masks,
    entering: await selectSample(tx, shown[after] ?? []),
    leaving: await selectSample(tx, shown[before] ?? []),
  };
}

/** Who would be in after a change of a segment, who would enter and who would leave. Saves nothing. */
export function previewOfChange(context: ReadContext, slug: string, change: RuleChange): Promise<ChangePreview> {
  return inOneMoment(context, async (tx, definitions) => {
    const definition = definitions.bySlug.get(slug);
    if (!definition) throw unknownSegment(slug);
    refuseCycle(definitions, definition.id, change);
    const sides = [definition, changed(definition, change)] as const;
    const found = (await compareInSql(tx, definitions, sides)) ?? (await compareInProcess(tx, definitions, sides));
    const count = (mask: number) => found.masks.get(mask) ?? 0;
    return {
      count: count(after) + count(before | after),
      total: count(0) + count(before) + count(after) + count(before | after),
      entering: count(after),
      leaving: count(before),
      sample_entering: found.entering,
      sample_leaving: found.leaving,
    };
  });
}
