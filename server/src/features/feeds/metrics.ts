import { Counter, Gauge, type Registry } from 'prom-client';
import type { Deriver } from './deriver.ts';
import type { Followers } from './followers.ts';

/** Metrics of feeds. They say what was known at the last look, so that they answer while the database is away. */
export function measureFeeds(deriver: Deriver, followers: Followers, registry: Registry): void {
  const registers = [registry];
  new Gauge({
    name: 'kohort_feed_events_pending',
    help: 'Recorded events that are not told yet, up to 100,000, as of some seconds ago.',
    // Each worker sees the same ones.
    aggregator: 'max',
    registers,
    collect() {
      this.set(deriver.backlog.events);
    },
  });
  new Gauge({
    name: 'kohort_feed_segments_pending',
    help: 'Followed segments that are being filled, looked at again or told to a feed.',
    aggregator: 'max',
    registers,
    collect() {
      this.set(deriver.backlog.segments);
    },
  });
  new Gauge({
    name: 'kohort_feed_lag_seconds',
    help: 'Age of the oldest recorded event that is not told yet.',
    aggregator: 'max',
    registers,
    collect() {
      this.set(deriver.backlog.lag_seconds);
    },
  });
  new Counter({
    name: 'kohort_feed_changes_told_total',
    help: 'Changes of members that this process has told.',
    registers,
    collect() {
      this.reset();
      this.inc(deriver.told);
    },
  });
  new Counter({
    name: 'kohort_feed_failures_total',
    help: 'Turns of telling changes that failed and were tried again.',
    registers,
    collect() {
      this.reset();
      this.inc(deriver.failures);
    },
  });
  new Gauge({
    name: 'kohort_feed_followers',
    help: 'Streams of feeds that are open.',
    registers,
    collect() {
      this.set(followers.count);
    },
  });
}
