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
  /** What the reader should know: left out and why, and what the figures do not say themselves. */
  readonly notes: readonly string[];
}

export function isReached({ value, atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY }: Ratio) {
  return value >= atLeast && value <= atMost;
}

export function medianOf(rows: readonly Row[], contestant: string): Sample | undefined {
  return rows.find((row) => row.contestant === contestant)?.median;
}

/** How many times the one's figure the other's is; nothing where either was not measured. */
export function compare(
  what: string,
  [ours, theirs]: readonly [Sample | undefined, Sample | undefined],
  figure: (sample: Sample) => number,
  bounds: Pick<Ratio, 'atLeast' | 'atMost'>,
): Ratio[] {
  return ours && theirs ? [{ what, value: figure(ours) / figure(theirs), ...bounds }] : [];
}

/** A figure of one contestant alone; nothing where it was not measured. */
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
