import { invalid, Problem } from '@kohort/contract';
import type { Db } from '../../../postgres/database.ts';
import { compileDefinition, type Definition } from '../../../segmentation/definition.ts';
import { type Definitions, dependentsAmong } from '../../../segmentation/definitions.ts';
import { noRule, type ReadRule, type RuleFields, unknownSegment } from '../../segments/segments.ts';
import { decidedSets } from './decided-users.ts';
import { setsSql } from './member-rule.sql.ts';
import { keepSnapshots } from './one-moment.sql.ts';
import { inOneMoment, type Moment } from './one-moment.ts';
import { byId, type SampleRow, selectSample } from './preview.sql.ts';
import { addCounts, countSets, type MaskCounts, sampleDifference } from './sets.sql.ts';
import { slicesOf } from './slices.ts';
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
/** Bits of a mask: the user is in before the change, and after it. */
const [before, after] = [1, 2];

function refuseCycle({ byId }: Definitions, id: number, { named = [] }: ReadRule): void {
  const roots = named.flatMap((segment) => byId.get(segment.id) ?? []);
  const dependents = dependentsAmong(byId, id, roots);
  const errors = named
    .filter((segment) => byId.has(segment.id) && dependents.has(segment.id))
    .map(({ at }) => ({ path: at, message: 'makes the segment depend on itself' }));
  if (errors.length > 0) {
    throw new Problem('invalid', errors.map(({ path, message }) => `${path} ${message}`).join('; '), { errors });
  }
}

/** The definition with the given fields replaced. */
function changed(definition: Definition, fields: Partial<RuleFields>): Definition {
  const { id, slug, salt } = definition;
  const given = compileDefinition({ id, slug, salt, ...noRule, ...fields });
  const kept = definition.share && fields[definition.share.kind] === undefined ? definition.share : null;
  if (kept && given.share && kept.kind !== given.share.kind) {
    throw invalid(`/body/${given.share.kind}`, `replaces ${kept.kind}: give only one of them`);
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
  moment: Moment,
): Promise<Found | undefined> {
  const asked = { now: moment.now, isDistributed: tx.isDistributed };
  const sql = setsSql(definitions, sides, asked);
  const [was, becomes] = sql?.sets ?? [];
  if (!sql || !was || !becomes) return undefined;
  const { joins } = sql;
  const masks = new Map<number, number>();
  const samples = [
    { mask: after, joins, inside: becomes, outside: was, shown: [] as SampleRow[] },
    { mask: before, joins, inside: was, outside: becomes, shown: [] as SampleRow[] },
  ] as const;
  for await (const slice of slicesOf(tx, moment)) {
    const found = await countSets(tx, sql, slice);
    addCounts(masks, found);
    for (const { mask, shown, ...sets } of samples) {
      const limit = sampleRows - shown.length;
      // Without matches, the search for a sample would read every user again.
      if (found.has(mask) && limit > 0) shown.push(...(await sampleDifference(tx, sets, { ...slice, limit })));
    }
  }
  return { masks, entering: byId(samples[0].shown), leaving: byId(samples[1].shown) };
}

async function compareInProcess(
  tx: Db,
  definitions: Definitions,
  sides: readonly [Definition, Definition],
  moment: Moment,
): Promise<Found> {
  const masks = new Map<number, number>();
  const shown: Record<number, number[]> = { [before]: [], [after]: [] };
  for await (const users of decidedSets(tx, definitions, sides, moment)) {
    for (const { id, mask } of users) {
      addCounts(masks, [[mask, 1]]);
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

/** The members after a change of a segment, and the users who would enter and leave. Stores nothing. */
export function previewOfChange(context: ReadContext, slug: string, change: ReadRule): Promise<ChangePreview> {
  return inOneMoment(context, async (tx, definitions, moment) => {
    const definition = definitions.bySlug.get(slug);
    if (!definition) throw unknownSegment(slug);
    refuseCycle(definitions, definition.id, change);
    await keepSnapshots(tx);
    const sides = [definition, changed(definition, change.fields)] as const;
    const found =
      (await compareInSql(tx, definitions, sides, moment)) ?? (await compareInProcess(tx, definitions, sides, moment));
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
