import type { Row, Sample } from './measure.ts';
import { median } from './statistics.ts';

/** A figure to be reached. */
export interface Ratio {
  readonly what: string;
  /** The median of the rounds, if there were several. */
  readonly value: number;
  /** The least and the most that a round gave. */
  readonly range?: readonly [least: number, most: number];
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** What a scenario found. */
export interface Findings {
  readonly rows: readonly Row[];
  readonly ratios: readonly Ratio[];
  /** Notes for the reader: what was left out and why, and what the figures do not say. */
  readonly notes: readonly string[];
}

export function isReached({ value, atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY }: Ratio) {
  return value >= atLeast && value <= atMost;
}

export function rowOf(rows: readonly Row[], contestant: string): Row | undefined {
  return rows.find((row) => row.contestant === contestant);
}

type Bounds = Pick<Ratio, 'atLeast' | 'atMost'>;

/** A figure that is not known of every round is not known. */
function overRounds(what: string, values: readonly number[], bounds: Bounds): Ratio {
  if (values.some(Number.isNaN)) return { what, value: Number.NaN, ...bounds };
  const extremes = values.length > 1 ? { range: [Math.min(...values), Math.max(...values)] as const } : {};
  return { what, value: median(values), ...extremes, ...bounds };
}

/**
 * The ratio of two figures; empty if either was not measured. It is taken for each round, in which one had its turn soon after the
 * other: the medians of both may come from different rounds, in one of which the machine was faster.
 */
export function compare(
  what: string,
  [ours, theirs]: readonly [Row | undefined, Row | undefined],
  figure: (sample: Sample) => number,
  bounds: Bounds,
): Ratio[] {
  if (!ours || !theirs) return [];
  const rounds = Math.max(ours.samples.length, theirs.samples.length);
  const values = Array.from({ length: rounds }, (_, round) => {
    const [one, other] = [ours.samples[round], theirs.samples[round]];
    return one && other ? figure(one) / figure(other) : Number.NaN;
  });
  return [overRounds(what, values, bounds)];
}

/** A figure of one contestant; empty if it was not measured. */
export function reach(what: string, row: Row | undefined, figure: (sample: Sample) => number, bounds: Bounds): Ratio[] {
  return row ? [overRounds(what, row.samples.map(figure), bounds)] : [];
}

export const rate = ({ rate: answers }: Sample): number => answers;
export const p99 = (sample: Sample): number => sample.p99;
/** Microseconds of processor time for each answer: of the server, of the database, of both. */
export const serverMicros = (sample: Sample): number => sample.serverMicros;
export const databaseMicros = (sample: Sample): number => sample.databaseMicros ?? Number.NaN;
export const micros = (sample: Sample): number => serverMicros(sample) + databaseMicros(sample);
