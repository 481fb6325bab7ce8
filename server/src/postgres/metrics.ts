import { Gauge, Histogram, type Registry } from 'prom-client';
import type { Coalesced } from './batch.ts';
import type { Database } from './database.ts';

/** How a coalesced statement is watched: told about each one that goes out, and asked after those that wait. */
export type Watch = (statement: string) => (callers: number, waitedMs: number) => void;

/** Metrics of the way to the database: the pool, and what coalescing makes of the calls. */
export function measureDatabase(
  db: Database,
  registry: Registry,
): { watch: Watch; follow: (statement: string, coalesced: Coalesced<never, unknown>) => void } {
  const registers = [registry];
  const followed = new Map<string, Coalesced<never, unknown>>();
  new Gauge({
    name: 'kohort_pool_connections',
    help: 'Connections to PostgreSQL by state, and calls that wait for one.',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, count] of Object.entries(db.connections)) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'kohort_database_available',
    help: '1 while PostgreSQL answers the probe.',
    // Of several workers, the one that is worst off.
    aggregator: 'min',
    registers,
    collect() {
      this.set(db.available ? 1 : 0);
    },
  });
  new Gauge({
    name: 'kohort_coalesced_statements_in_flight',
    help: 'Statements that are under way for callers who share them.',
    labelNames: ['statement'],
    registers,
    collect() {
      for (const [statement, coalesced] of followed) this.set({ statement }, coalesced.inFlight());
    },
  });
  new Gauge({
    name: 'kohort_coalesced_callers_waiting',
    help: 'Callers who wait for the next statement.',
    labelNames: ['statement'],
    registers,
    collect() {
      for (const [statement, coalesced] of followed) this.set({ statement }, coalesced.waiting());
    },
  });
  const callersPerStatement = new Histogram({
    name: 'kohort_coalesced_callers',
    help: 'Callers that one statement served.',
    labelNames: ['statement'],
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers,
  });
  const waits = new Histogram({
    name: 'kohort_coalesced_wait_seconds',
    help: 'How long the first caller of a statement waited for it to go out.',
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
