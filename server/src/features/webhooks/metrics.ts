import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Db } from '../../postgres/database.ts';
import { countStates, type StateCounts } from './webhooks.sql.ts';

/** All instances report the same counts, so that the largest of several workers is that of all. */
const aggregator = 'max';
/** Scrapes that come at once share one look. */
const shareMs = 1_000;

/** Metrics of webhooks; answers what to call after each attempt. */
export function measureWebhooks(db: Db, registry: Registry): (isSuccess: boolean, seconds: number) => void {
  const registers = [registry];
  const attempts = new Counter({
    name: 'kohort_webhook_attempts_total',
    help: 'Messages sent to webhooks by this instance, by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const durations = new Histogram({
    name: 'kohort_webhook_attempt_duration_seconds',
    help: 'Time that a receiver took to answer, or to be given up.',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  for (const outcome of ['success', 'failure']) attempts.inc({ outcome }, 0);
  const look = sharedLook(db);
  new Gauge({
    name: 'kohort_webhooks',
    help: 'Webhooks by state.',
    labelNames: ['state'],
    aggregator,
    registers,
    async collect() {
      const { active, failing, disabled } = await look();
      for (const [state, count] of Object.entries({ active, failing, disabled })) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'kohort_webhook_deliveries_pending',
    help: 'Messages that have not been delivered, including those of disabled webhooks.',
    aggregator,
    registers,
    async collect() {
      this.set((await look()).pending);
    },
  });
  new Gauge({
    name: 'kohort_webhook_lag_seconds',
    help: 'Age of the oldest change in a message that has not been delivered.',
    aggregator,
    registers,
    async collect() {
      this.set((await look()).lag_seconds);
    },
  });
  return (isSuccess, seconds) => {
    attempts.inc({ outcome: isSuccess ? 'success' : 'failure' });
    durations.observe(seconds);
  };
}

/** What was found last stands while the database is away. */
function sharedLook(db: Db): () => Promise<StateCounts> {
  let last: StateCounts = { active: 0, failing: 0, disabled: 0, pending: 0, lag_seconds: 0 };
  let looking = Promise.resolve(last);
  let lookedAt = Number.NEGATIVE_INFINITY;
  return () => {
    const now = performance.now();
    if (now - lookedAt < shareMs) return looking;
    lookedAt = now;
    looking = countStates(db).then(
      (counts) => {
        last = counts;
        return counts;
      },
      () => last,
    );
    return looking;
  };
}
