import { Counter, Gauge, type Registry } from 'prom-client';
import type { Deriver } from './deriver.ts';
import type { Followers } from './followers.ts';

/** Metrics of feeds, as of the last measurement, so that they answer while the database is unavailable. */
export function measureFeeds(deriver: Deriver, followers: Followers, registry: Registry): void {
  const registers = [registry];
  new Gauge({
    name: 'kohort_feed_events_pending',
    help: 'Recorded events that are not published yet, up to 100,000, as of two seconds ago.',
    // Every worker reports the same value.
    aggregator: 'max',
    registers,
    collect() {
      this.set(deriver.backlog.events);
    },
  });
  new Gauge({
    name: 'kohort_feed_segments_pending',
    help: 'Followed segments that are being filled, rechecked or published to a joining or leaving feed.',
    aggregator: 'max',
    registers,
    collect() {
      this.set(deriver.backlog.segments);
    },
  });
  new Gauge({
    name: 'kohort_feed_lag_seconds',
    help: 'Age of the oldest recorded event that is not published yet.',
    aggregator: 'max',
    registers,
    collect() {
      this.set(deriver.backlog.lag_seconds);
    },
  });
  new Counter({
    name: 'kohort_feed_changes_published_total',
    help: 'Changes of members published by this process.',
    registers,
    collect() {
      this.reset();
      this.inc(deriver.published);
    },
  });
  new Counter({
    name: 'kohort_feed_failures_total',
    help: 'Failed turns of publishing changes; each was retried.',
    registers,
    collect() {
      this.reset();
      this.inc(deriver.failures);
    },
  });
  new Gauge({
    name: 'kohort_feed_followers',
    help: 'Open streams of feeds.',
    registers,
    collect() {
      this.set(followers.count);
    },
  });
}
