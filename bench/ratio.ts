import type { Row, Sample } from './measure.ts';

/** A figure to be reached. */
export interface Ratio {
  readonly what: string;
  readonly value: number;
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

export function medianOf(rows: readonly Row[], contestant: string): Sample | undefined {
  return rows.find((row) => row.contestant === contestant)?.median;
}

/** The ratio of two figures; empty if either was not measured. */
export function compare(
  what: string,
  [ours, theirs]: readonly [Sample | undefined, Sample | undefined],
  figure: (sample: Sample) => number,
  bounds: Pick<Ratio, 'atLeast' | 'atMost'>,
): Ratio[] {
  return ours && theirs ? [{ what, value: figure(ours) / figure(theirs), ...bounds }] : [];
}

/** A figure of one contestant; empty if it was not measured. */
export function reach(
  what: string,
  sample: Sample | undefined,
  figure: (sample: Sample) => number,
  bounds: Pick<Ratio, 'atLeast' | 'atMost'>,
): Ratio[] {
  return sample ? [{ what, value: figure(sample), ...bounds }] : [];
}

export const rate = ({ rate: answers }: Sample): number => answers;
export const p99 = (sample: Sample): number => sample.p99;
/** Microseconds of processor time for each answer: of the server, of the database, of both. */
export const serverMicros = (sample: Sample): number => sample.serverMicros;
export const databaseMicros = (sample: Sample): number => sample.databaseMicros ?? Number.NaN;
export const micros = (sample: Sample): number => serverMicros(sample) + databaseMicros(sample);
