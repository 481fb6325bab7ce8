import { onBehalfOf, theService } from '../../concurrency/party.ts';
import type { Database } from '../../postgres/database.ts';
import { type AttributeSample, type SampleSize, sampleAttributes, selectRoughTotal } from './attributes.sql.ts';

export interface Attributes extends AttributeSample {
  readonly isComplete: boolean;
}

export interface SampleAges {
  readonly maxAgeMs: number;
  /** The lifetime of a sample of all users: there are few, so taking it again is cheap. */
  readonly completeMaxAgeMs: number;
}

export interface AttributesContext {
  readonly db: Database;
  readonly ages: SampleAges;
  sample: { readonly attributes: Attributes; readonly takenAt: number } | undefined;
  refreshing: Promise<Attributes> | undefined;
}

const defaultAges: SampleAges = { maxAgeMs: 60_000, completeMaxAgeMs: 1_000 };

export function attributesContext(db: Database, ages = defaultAges): AttributesContext {
  return { db, ages, sample: undefined, refreshing: undefined };
}

const size: SampleSize = { rows: 2_000, names: 200, depth: 3, reported: 1_000 };
const statementTimeoutMs = 5_000;
/** Sampling takes whole pages, which hold different numbers of users, so it draws more than needed and drops the rest. */
const surplus = 1.5;

async function takeSample({ db }: AttributesContext): Promise<Attributes> {
  return db.transaction(
    async (tx) => {
      const total = await selectRoughTotal(tx);
      const percent = total > size.rows ? Math.min(100, (100 * surplus * size.rows) / total) : 100;
      const sample = await sampleAttributes(tx, percent, size);
      return { ...sample, isComplete: percent === 100 && sample.users < size.rows };
    },
    { readOnly: true, statementTimeout: statementTimeoutMs, plannerOff: ['jit'] },
  );
}

/** The attributes of users, from a recent sample. */
export async function attributesOf(context: AttributesContext): Promise<Attributes> {
  const { sample, ages } = context;
  const maxAgeMs = sample?.attributes.isComplete ? ages.completeMaxAgeMs : ages.maxAgeMs;
  if (sample && performance.now() - sample.takenAt < maxAgeMs) return sample.attributes;
  context.refreshing ??= onBehalfOf(theService, () => takeSample(context))
    .then((attributes) => {
      context.sample = { attributes, takenAt: performance.now() };
      return attributes;
    })
    .finally(() => {
      context.refreshing = undefined;
    });
  return context.refreshing;
}
