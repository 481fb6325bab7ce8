import { invalid, Problem } from '@kohort/contract';
import type { Db } from '../../../postgres/database.ts';
import { compileDefinition, type Definition, type Definitions, inOrder } from '../../../segmentation/definition.ts';
import { noRule, type ReadRule, type RuleFields, unknownSegment } from '../../segments/segments.ts';
import { type DecidedOptions, decidedSets } from './decided-users.ts';
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

const sampleRows = 10;
/** Bits of a mask: a user is in before the change, and after it. */
const [before, after] = [1, 2];

function refuseCycle(definitions: Definitions, id: number, { named = [] }: ReadRule): void {
  const errors = named.flatMap(({ id: namedId, at }) => {
    const definition = definitions.byId.get(namedId);
    const closes = definition && inOrder(definitions.byId, [definition]).some((one) => one.id === id);
    return closes ? [{ path: at, message: 'makes the segment depend on itself' }] : [];
  });
  if (errors.length > 0) {
    throw new Problem('invalid', errors.map(({ path, message }) => `${path} ${message}`).join('; '), { errors });
  }
}

/** The definition with the given fields in place of its own. */
function changed(definition: Definition, fields: Partial<RuleFields>): Definition {
  const { id, slug, salt } = definition;
  const given = compileDefinition({ id, slug, salt, ...noRule, ...fields });
  const kept = definition.share && fields[definition.share.kind] === undefined ? definition.share : null;
  if (kept && given.share && kept.kind !== given.share.kind) {
    throw invalid(`/body/${given.share.kind}`, `stands in place of ${kept.kind}, not beside it`);
  }
  const after = {
    ...(fields.condition === undefined ? definition : given),
    share: given.share ?? kept,
    bucketBy: fields.bucket_by === undefined ? definition.bucketBy : given.bucketBy,
    activeFrom: fields.active_from === undefined ? definition.activeFrom : given.activeFrom,
    activeUntil: fields.active_until === undefined ? definition.activeUntil : given.activeUntil,
  };
  if (after.activeFrom >= after.activeUntil) throw invalid('/body/active_until', 'must be later than active_from');
  return after;
}

type Found = { masks: MaskCounts; entering: readonly SampleRow[]; leaving: readonly SampleRow[] };

async function compareInSql(
  tx: Db,
  definitions: Definitions,
  sides: readonly [Definition, Definition],
  now: number,
): Promise<Found | undefined> {
  const sql = setsSql(definitions, sides, now);
  const [was, becomes] = sql?.sets ?? [];
  if (!sql || !was || !becomes) return undefined;
  const masks = await countSets(tx, sql);
  // Without any matches, looking for a sample would read every user again.
  const sample = (mask: number, inside: typeof was, outside: typeof was) =>
    masks.has(mask) ? sampleDifference(tx, sql.joins, { inside, outside }, sampleRows) : [];
  return { masks, entering: await sample(after, becomes, was), leaving: await sample(before, was, becomes) };
}

async function compareInProcess(
  tx: Db,
  definitions: Definitions,
  sides: readonly [Definition, Definition],
  options: DecidedOptions,
): Promise<Found> {
  const masks = new Map<number, number>();
  const shown: Record<number, number[]> = { [before]: [], [after]: [] };
  for await (const users of decidedSets(tx, definitions, sides, options)) {
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
export function previewOfChange(context: ReadContext, slug: string, change: ReadRule): Promise<ChangePreview> {
  return inOneMoment(context, async (tx, definitions, now, until) => {
    const definition = definitions.bySlug.get(slug);
    if (!definition) throw unknownSegment(slug);
    refuseCycle(definitions, definition.id, change);
    const sides = [definition, changed(definition, change.fields)] as const;
    const found =
      (await compareInSql(tx, definitions, sides, now)) ??
      (await compareInProcess(tx, definitions, sides, { now, until }));
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
