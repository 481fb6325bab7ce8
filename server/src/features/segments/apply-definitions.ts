import { Problem } from '@kohort/contract';
import { Turns } from '../../concurrency/turns.ts';
import type { Database, Tx } from '../../postgres/database.ts';
import { parseCondition } from '../../segmentation/conditions/parse.ts';
import { references } from '../../segmentation/conditions/references.ts';
import { createLayer } from '../layers/layers.ts';
import { purgeSmallSegment } from '../memberships/memberships.ts';
import { changeWithin, createSegment, type SegmentInput } from './change-segment.ts';
import { raiseRevision } from './definitions.sql.ts';
import { deleteWithin } from './delete-segment.ts';
import { selectVersionsOf } from './segments.sql.ts';
import { readSegment } from './segments.ts';

/** A whole definition: absent fields are cleared. */
export type AppliedSegment = SegmentInput & {
  readonly slug: string;
  /** The version it replaces; null for a new segment. */
  readonly version: number | null;
};

export interface AppliedDefinitions {
  readonly layers?: readonly string[];
  readonly segments?: readonly AppliedSegment[];
  readonly delete?: readonly { readonly slug: string; readonly version: number }[];
}

const cleared: Required<SegmentInput> = {
  description: null,
  tags: null,
  percentage: null,
  condition: null,
  bucket_by: null,
  ramp: null,
  layer: null,
  active_from: null,
  active_until: null,
};

/** The segments that the condition names. An invalid condition is refused when it is stored. */
function namesIn({ condition }: Pick<SegmentInput, 'condition'>): string[] {
  const parsed = condition ? parseCondition(condition, '/body') : undefined;
  return parsed?.ok ? references(parsed.condition).map(({ segment }) => segment) : [];
}

/** The segments that each definition names, by slug. Parsing all conditions takes long, so it yields to other calls. */
async function namesOf(segments: readonly (Pick<SegmentInput, 'condition'> & { slug: string })[]) {
  const turns = new Turns();
  const names = new Map<string, string[]>();
  for (const one of segments) {
    names.set(one.slug, namesIn(one));
    if (turns.isOver) await turns.pause();
  }
  return names;
}

/** Orders each definition after those that its condition names, so that no step has an unknown name or a cycle. */
function inOrder<S extends { readonly slug: string }>(
  segments: readonly S[],
  names: ReadonlyMap<string, readonly string[]>,
): S[] {
  const bySlug = new Map(segments.map((one) => [one.slug, one]));
  const ordered = new Set<S>();
  const begun = new Set<S>();
  const visit = (one: S): void => {
    if (begun.has(one)) return;
    begun.add(one);
    for (const slug of names.get(one.slug) ?? []) {
      const named = bySlug.get(slug);
      if (named) visit(named);
    }
    ordered.add(one);
  };
  for (const one of segments) visit(one);
  return [...ordered];
}

function refuseTwice(slugs: readonly string[]): void {
  const twice = slugs.find((slug, i) => slugs.indexOf(slug) !== i);
  if (twice !== undefined) throw new Problem('invalid', `${twice} is named twice.`);
}

/** Called under the lock of `raiseRevision`, so nothing changes afterwards. */
async function refuseStale(tx: Tx, expected: ReadonlyMap<string, number | null>): Promise<void> {
  const versions = new Map(
    (await selectVersionsOf(tx, [...expected.keys()])).map(({ slug, version }) => [slug, version]),
  );
  const stale = [...expected].filter(([slug, version]) => (versions.get(slug) ?? null) !== version);
  if (stale.length === 0) return;
  const current = stale.map(([slug]) => `${slug} (${versions.get(slug) ?? 'does not exist'})`);
  throw new Problem('version_stale', `Another version is current: ${current.join(', ')}.`);
}

async function apply(tx: Tx, definitions: AppliedDefinitions, actor: string) {
  const { layers = [], segments = [], delete: gone = [] } = definitions;
  await raiseRevision(tx);
  await refuseStale(tx, new Map([...segments, ...gone].map(({ slug, version }) => [slug, version])));
  for (const slug of layers) await createLayer(tx, slug);
  for (const { slug, version, ...definition } of inOrder(segments, await namesOf(segments))) {
    if (version === null) await createSegment(tx, { slug, ...definition }, actor);
    else await changeWithin(tx, slug, { ...cleared, ...definition }, { actor });
  }
  // Segments that name others go first.
  const conditions = new Map<string, string[]>();
  for (const { slug } of gone) conditions.set(slug, namesIn(await readSegment(tx, slug)));
  const deleted: number[] = [];
  for (const { slug } of inOrder(gone, conditions).reverse()) {
    deleted.push(await deleteWithin(tx, slug, actor));
  }
  const versions = await selectVersionsOf(
    tx,
    segments.map(({ slug }) => slug),
  );
  return { deleted, versions: Object.fromEntries(versions.map(({ slug, version }) => [slug, version])) };
}

/**
 * Applies definitions, all or none: one transaction, refused if a segment is not at the expected version. Returns the new
 * versions.
 */
export async function applyDefinitions(
  db: Database,
  definitions: AppliedDefinitions,
  actor: string,
): Promise<{ versions: Record<string, number> }> {
  const { segments = [], delete: gone = [] } = definitions;
  refuseTwice([...segments, ...gone].map(({ slug }) => slug));
  const { deleted, versions } = await db.transaction((tx) => apply(tx, definitions, actor));
  for (const id of deleted) await purgeSmallSegment(db, id);
  return { versions };
}
