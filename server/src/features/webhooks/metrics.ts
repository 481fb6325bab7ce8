import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Db } from '../../postgres/database.ts';
import { countStates, type StateCounts } from './webhooks.sql.ts';

/** All instances report the same counts, so a sum over workers would be wrong. */
const aggregator = 'max';
/** Concurrent scrapes share one query. */
const shareMs = 1_000;

/** Registers the metrics of webhooks. Returns the function to call after each attempt. */
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
    help: 'Duration of attempts, until the answer or the failure.',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  for (const outcome of ['success', 'failure']) attempts.inc({ outcome }, 0);
  const count = sharedCounts(db);
  new Gauge({
    name: 'kohort_webhooks',
    help: 'Webhooks by state.',
    labelNames: ['state'],
    aggregator,
    registers,
    async collect() {
      const { active, failing, disabled } = await count();
      for (const [state, webhooks] of Object.entries({ active, failing, disabled })) this.set({ state }, webhooks);
    },
  });
  new Gauge({
    name: 'kohort_webhook_deliveries_pending',
    help: 'Messages not delivered yet, including those of disabled webhooks.',
    aggregator,
    registers,
    async collect() {
      this.set((await count()).pending);
    },
  });
  new Gauge({
    name: 'kohort_webhook_lag_seconds',
    help: 'Age of the oldest change in a message not delivered yet.',
    aggregator,
    registers,
    async collect() {
      this.set((await count()).lag_seconds);
    },
  });
  return (isSuccess, seconds) => {
    attempts.inc({ outcome: isSuccess ? 'success' : 'failure' });
    durations.observe(seconds);
  };
}

/** Returns the last counts while the database is unavailable. */
function sharedCounts(db: Db): () => Promise<StateCounts> {
  let last: StateCounts = { active: 0, failing: 0, disabled: 0, pending: 0, lag_seconds: 0 };
  let counting = Promise.resolve(last);
  let countedAt = Number.NEGATIVE_INFINITY;
  return () => {
    const now = performance.now();
    if (now - countedAt < shareMs) return counting;
    countedAt = now;
    counting = countStates(db).then(
      (counts) => {
        last = counts;
        return counts;
      },
      () => last,
    );
    return counting;
  };
}
