import { Problem } from '@kohort/contract';
import { Turns } from '../../concurrency/turns.ts';
import type { Database, Tx } from '../../postgres/database.ts';
import { parseCondition } from '../../segmentation/conditions/parse.ts';
import { references } from '../../segmentation/conditions/references.ts';
import { createLayer } from '../layers/layers.ts';
import { purgeSmallSegment } from '../memberships/memberships.ts';
import { deleteWithin } from './delete-segment.ts';
import { raiseRevision, selectVersionsOf } from './segments.sql.ts';
import { changeWithin, createSegment, readSegment, type SegmentInput } from './segments.ts';

/** A whole definition: what is absent is cleared. */
export type AppliedSegment = SegmentInput & {
  readonly slug: string;
  /** The version it replaces; null for a segment that does not exist. */
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

/** What the condition names; one that cannot be read is refused where it is stored. */
function namesIn({ condition }: Pick<SegmentInput, 'condition'>): string[] {
  const parsed = condition ? parseCondition(condition, '/body') : undefined;
  return parsed?.ok ? references(parsed.condition).map(({ segment }) => segment) : [];
}

/** What each names, by slug. Conditions of a whole body take long to read, so others have their turn in between. */
async function namesOf(segments: readonly (Pick<SegmentInput, 'condition'> & { slug: string })[]) {
  const turns = new Turns();
  const names = new Map<string, string[]>();
  for (const one of segments) {
    names.set(one.slug, namesIn(one));
    if (turns.isOver) await turns.pause();
  }
  return names;
}

/** Each after those that its condition names, so that no name is unknown and no cycle stands between two steps. */
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

/** Under the lock that `raiseRevision` takes, so nothing moves afterwards. */
async function refuseStale(tx: Tx, expected: ReadonlyMap<string, number | null>): Promise<void> {
  const versions = new Map(
    (await selectVersionsOf(tx, [...expected.keys()])).map(({ slug, version }) => [slug, version]),
  );
  const stale = [...expected].filter(([slug, version]) => (versions.get(slug) ?? null) !== version);
  if (stale.length === 0) return;
  const told = stale.map(([slug]) => `${slug} (${versions.get(slug) ?? 'does not exist'})`);
  throw new Problem('version_stale', `Another version is current: ${told.join(', ')}.`);
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
  // Those that name others go first.
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
 * Makes definitions as they are named, all of them or none: one transaction, refused when a segment is not at its version.
 * Answers the versions from now on.
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
