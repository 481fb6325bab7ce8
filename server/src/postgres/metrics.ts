import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Coalesced } from './batch.ts';
import type { Database } from './database.ts';

/** Returns the observer of a coalesced statement, which is called for each statement sent. */
export type Watch = (statement: string) => (callers: number, waitedMs: number) => void;

/** Metrics of a replica; returns what counts who answered. */
export function measureReplica(
  replica: () => { readonly ageSeconds: number } | undefined,
  registry: Registry,
): (answeredBy: string) => void {
  const registers = [registry];
  new Gauge({
    name: 'kohort_replica_age_seconds',
    help: 'How far the replica is behind the primary; +Inf while that is unknown.',
    aggregator: 'max',
    registers,
    collect() {
      this.set(replica()?.ageSeconds ?? Number.POSITIVE_INFINITY);
    },
  });
  const reads = new Counter({
    name: 'kohort_replica_reads_total',
    help: 'Reads that may go to the replica, by who answered: the replica, or the primary for the reason named.',
    labelNames: ['answered_by', 'reason'],
    registers,
  });
  return (answeredBy) =>
    reads.inc(
      answeredBy === 'replica'
        ? { answered_by: 'replica', reason: '' }
        : { answered_by: 'primary', reason: answeredBy },
    );
}

/** Metrics of the pool and of coalescing. */
export function measureDatabase(
  db: Database,
  registry: Registry,
): { watch: Watch; follow: (statement: string, coalesced: Coalesced<never, unknown>) => void } {
  const registers = [registry];
  const followed = new Map<string, Coalesced<never, unknown>>();
  new Gauge({
    name: 'kohort_pool_connections',
    help: 'Connections to PostgreSQL by state, and calls waiting for one.',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, count] of Object.entries(db.connections)) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'kohort_database_available',
    help: '1 while PostgreSQL answers the probe.',
    // The worst of several workers counts.
    aggregator: 'min',
    registers,
    collect() {
      this.set(db.available ? 1 : 0);
    },
  });
  new Gauge({
    name: 'kohort_coalesced_statements_in_flight',
    help: 'Coalesced statements in flight.',
    labelNames: ['statement'],
    registers,
    collect() {
      for (const [statement, coalesced] of followed) this.set({ statement }, coalesced.inFlight());
    },
  });
  new Gauge({
    name: 'kohort_coalesced_callers_waiting',
    help: 'Callers waiting for the next coalesced statement.',
    labelNames: ['statement'],
    registers,
    collect() {
      for (const [statement, coalesced] of followed) this.set({ statement }, coalesced.waiting());
    },
  });
  const callersPerStatement = new Histogram({
    name: 'kohort_coalesced_callers',
    help: 'Callers served by one coalesced statement.',
    labelNames: ['statement'],
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers,
  });
  const waits = new Histogram({
    name: 'kohort_coalesced_wait_seconds',
    help: 'Time that the first caller of a coalesced statement waited before it was sent.',
    labelNames: ['statement'],
    buckets: [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1],
    registers,
  });

  return {
    watch(statement) {
      const callers = callersPerStatement.labels({ statement });
      const wait = waits.labels({ statement });
      return (count, waitedMs) => {
        callers.observe(count);
        wait.observe(waitedMs / 1000);
      };
    },
    follow: (statement, coalesced) => void followed.set(statement, coalesced),
  };
}
