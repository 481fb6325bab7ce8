import { type Document, isMap, parseDocument, stringify } from 'yaml';
import type { Segment } from '../api.ts';
import { UsageError } from './exits.ts';

/** The fields of a segment that the service maintains; the rest is its definition. */
const OWN = new Set(['id', 'slug', 'salt', 'version', 'created_at', 'updated_at', 'used_by']);

/** A definition. Omitted fields are null or empty. */
export type Definition = Readonly<Record<string, unknown>>;

export interface Configured {
  readonly slug: string;
  /** The version that was pulled; undefined if the file names none. */
  readonly version: number | undefined;
  readonly definition: Definition;
}

export interface Planned {
  readonly slug: string;
  readonly action: 'create' | 'change' | 'delete';
  /** The current definition; null for a segment to be created. */
  readonly version: number | null;
  readonly before: Definition;
  readonly after: Definition;
}

export interface Plan {
  /** Layers to be created. */
  readonly layers: readonly string[];
  readonly steps: readonly Planned[];
  /** Segments of the service that the file does not have. */
  readonly missing: readonly string[];
  /** Segments that were changed in the service since the file was pulled. */
  readonly stale: readonly string[];
}

const HEAD = `# The definitions of Kohort. What would change: kohort diff FILE. Change it: kohort apply FILE.
# "version" is the one that was pulled: a segment that was changed elsewhere since then is not overwritten.
`;

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || (Array.isArray(value) && value.length === 0);
}

/** A definition without empty fields, so that omitting and clearing a field are the same. */
export function definitionOf(segment: Readonly<Record<string, unknown>>): Definition {
  return Object.fromEntries(Object.entries(segment).filter(([name, value]) => !OWN.has(name) && !isEmpty(value)));
}

/** The content of a file. */
export interface Configuration {
  readonly layers: readonly string[];
  readonly segments: readonly Configured[];
}

/** The database orders the fields of an object by their length; a ramp is easier to read in the order of time. */
function inReadingOrder({ ramp, ...rest }: Segment): Segment {
  if (!ramp) return { ...rest, ramp };
  const { from, to, starts_at, ends_at } = ramp;
  return { ...rest, ramp: { from, to, starts_at, ends_at } };
}

export function written(segments: readonly Segment[], layers: readonly string[]): string {
  const entries = segments.map((segment) => [
    segment.slug,
    { version: segment.version, ...definitionOf({ ...inReadingOrder(segment) }) },
  ]);
  return `${HEAD}${stringify({ ...(layers.length > 0 && { layers }), segments: Object.fromEntries(entries) }, { lineWidth: 120 })}`;
}

function entryOf(slug: string, value: unknown): Configured {
  if (value !== null && (typeof value !== 'object' || Array.isArray(value))) {
    throw new UsageError(`segments.${slug} has to be a map of fields.`);
  }
  const { version, ...definition }: Record<string, unknown> = { ...value };
  if (version !== undefined && !(typeof version === 'number' && Number.isSafeInteger(version) && version > 0)) {
    throw new UsageError(`segments.${slug}.version has to be a whole number.`);
  }
  const own = Object.keys(definition).find((name) => OWN.has(name));
  if (own !== undefined) throw new UsageError(`segments.${slug}.${own} cannot be set.`);
  return { slug, version, definition: definitionOf(definition) };
}

/** Reads a file that `pull` wrote, also if it was edited since. */
export function read(text: string): Configuration & { readonly document: Document } {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) throw new UsageError(`The file is not YAML: ${error.message.split('\n')[0]}`);
  const content: unknown = document.toJS({ maxAliasCount: 100 });
  if (!isMap(document.contents) || typeof content !== 'object' || content === null) {
    throw new UsageError('The file has to begin with "segments:".');
  }
  const { segments, layers = [], ...others }: { segments?: unknown; layers?: unknown } = content;
  const [other] = Object.keys(others);
  if (other !== undefined) throw new UsageError(`The file has a part "${other}", which nothing is known of.`);
  if (segments === undefined || (segments !== null && (typeof segments !== 'object' || Array.isArray(segments)))) {
    throw new UsageError('"segments" has to be a map from slugs to definitions.');
  }
  if (!Array.isArray(layers) || !layers.every((one) => typeof one === 'string')) {
    throw new UsageError('"layers" has to be a list of slugs.');
  }
  return { document, layers, segments: Object.entries(segments ?? {}).map(([slug, value]) => entryOf(slug, value)) };
}

/** The same file with the current versions of the service; comments and order are kept. */
export function withVersions(document: Document, versions: Readonly<Record<string, number>>): string {
  for (const [slug, version] of Object.entries(versions)) {
    if (document.hasIn(['segments', slug, 'version'])) document.setIn(['segments', slug, 'version'], version);
  }
  return document.toString({ lineWidth: 120 });
}

/** Whether two values are equal, whatever the order of their keys. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );
}

/** The changes that make the service match the file. */
export function planOf(
  { layers, segments: configured }: Configuration,
  current: { readonly segments: readonly Segment[]; readonly layers: readonly string[] },
  isPruned: boolean,
): Plan {
  const known = new Map(current.segments.map((segment) => [segment.slug, segment]));
  const named = new Set(configured.map(({ slug }) => slug));
  const stale: string[] = [];
  const steps: Planned[] = [];
  for (const { slug, version, definition: after } of configured) {
    const segment = known.get(slug);
    const before = segment ? definitionOf({ ...segment }) : {};
    // A segment that was deleted elsewhere is not created again by a file that was pulled before.
    if (version !== undefined && version !== segment?.version) stale.push(slug);
    if (!segment) steps.push({ slug, action: 'create', version: null, before, after });
    else if (canonical(before) !== canonical(after)) {
      steps.push({ slug, action: 'change', version: segment.version, before, after });
    }
  }
  const missing = current.segments.filter(({ slug }) => !named.has(slug));
  if (isPruned) {
    for (const segment of missing) {
      const { slug, version } = segment;
      steps.push({ slug, action: 'delete', version, before: definitionOf({ ...segment }), after: {} });
    }
  }
  return {
    layers: layers.filter((slug) => !current.layers.includes(slug)),
    steps,
    missing: missing.map(({ slug }) => slug),
    stale,
  };
}

/** The fields that differ, one a line: `-` now, `+` afterwards. */
export function differences({ before, after }: Planned): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((name) => {
    const [was, is] = [before[name], after[name]].map((value) => (value === undefined ? undefined : canonical(value)));
    if (was === is) return [];
    return [...(was === undefined ? [] : [`- ${name}: ${was}`]), ...(is === undefined ? [] : [`+ ${name}: ${is}`])];
  });
}
