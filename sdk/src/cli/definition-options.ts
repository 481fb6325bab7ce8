import type { Command } from 'commander';
import type { LayerRange, Ramp, Segment } from '../api.ts';
import { UsageError } from './exits.ts';

/** The part of a segment that its owner writes. */
export type DefinitionInput = Partial<Pick<Segment, (typeof CLEARABLE)[number]>>;

/** The fields that may be empty. */
export const CLEARABLE = [
  'description',
  'tags',
  'percentage',
  'condition',
  'bucket_by',
  'ramp',
  'layer',
  'active_from',
  'active_until',
] as const;

export interface DefinitionOptions {
  readonly description?: string;
  readonly tag?: string[];
  readonly percentage?: number;
  readonly condition?: Record<string, unknown>;
  readonly bucketBy?: string;
  readonly ramp?: Ramp;
  readonly layer?: LayerRange;
  readonly activeFrom?: string;
  readonly activeUntil?: string;
}

/** `0-50@2026-12-01T00:00:00Z/2026-12-08T00:00:00Z` */
function rampIn(text: string): Ramp {
  const [, from, to, starts_at, ends_at] = /^([\d.]+)-([\d.]+)@([^/]+)\/([^/]+)$/.exec(text) ?? [];
  if (starts_at === undefined || ends_at === undefined) {
    throw new UsageError('--ramp takes FROM-TO@START/END: 0-50@2026-12-01T00:00:00Z/2026-12-08T00:00:00Z.');
  }
  return { from: Number(from), to: Number(to), starts_at, ends_at };
}

/** `HOLDOUT:0-10` */
function layerIn(text: string): LayerRange {
  const [, slug, from, to] = /^(.+):([\d.]+)-([\d.]+)$/.exec(text) ?? [];
  if (slug === undefined) throw new UsageError('--layer takes LAYER:FROM-TO, such as HOLDOUT:0-10.');
  return { slug, from: Number(from), to: Number(to) };
}

function percentageIn(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 100)) {
    throw new UsageError('--percentage takes a number from 0 to 100.');
  }
  return value;
}

function conditionIn(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UsageError('--condition takes JSON, in quotes for the shell: \'{"country": "NL"}\'.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError('--condition takes a JSON object.');
  }
  return { ...value };
}

/** The options that `create` and `edit` share. */
export function takesDefinition(command: Command): Command {
  return command
    .option('--description <text>', 'for people to read')
    .option('--tag <tag...>', 'its tags, all of them')
    .option('--percentage <number>', 'a share of the users', percentageIn)
    .option('--condition <json>', 'a query filter on the attributes', conditionIn)
    .option('--bucket-by <path>', 'whose share: a path in the attributes, such as company.id')
    .option('--ramp <from-to@start/end>', 'a percentage that changes over time, instead of --percentage', rampIn)
    .option('--layer <layer:from-to>', 'a range of a layer, instead of --percentage', layerIn)
    .option('--active-from <time>', 'no members before this time (RFC 3339)')
    .option('--active-until <time>', 'no members from this time on');
}

export function definitionOf(options: DefinitionOptions): DefinitionInput {
  const { description, tag, percentage, condition, bucketBy, ramp, layer, activeFrom, activeUntil } = options;
  return {
    ...(description !== undefined && { description }),
    ...(tag !== undefined && { tags: tag }),
    ...(percentage !== undefined && { percentage }),
    ...(condition !== undefined && { condition }),
    ...(bucketBy !== undefined && { bucket_by: bucketBy }),
    ...(ramp !== undefined && { ramp }),
    ...(layer !== undefined && { layer }),
    ...(activeFrom !== undefined && { active_from: activeFrom }),
    ...(activeUntil !== undefined && { active_until: activeUntil }),
  };
}
