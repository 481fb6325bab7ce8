import type { Sample } from '../measure.ts';

/** A sample of which only some figures matter. */
export const sample = (figures: Partial<Sample>): Sample => ({
  rate: 1_000,
  p50: 1,
  p99: 2,
  refused: 0,
  broken: 0,
  serverMicros: 20,
  databaseMicros: 10,
  server: 1,
  database: 1,
  background: 0,
  idle: 0,
  serverQueued: 0,
  databaseQueued: 0,
  waits: {},
  resident: 100,
  stolen: 0,
  probed: 25,
  ...figures,
});
