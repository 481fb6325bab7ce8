import { Histogram, Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { Durations } from './durations.ts';

const name = 'calls_seconds';
const help = 'How long calls take.';
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const read = { method: 'GET', route: '/api/users/:user/segments', status: 200 };
const refused = { method: 'GET', route: '/api/users/:user/segments', status: 404 };

it('says what a histogram of the library says of the same durations', async () => {
  const [ours, theirs] = [new Registry(), new Registry()];
  const durations = new Durations(name, help, ours);
  const histogram = new Histogram({
    name,
    help,
    labelNames: ['method', 'route', 'status'],
    buckets,
    registers: [theirs],
  });
  for (const seconds of [0, 0.0005, 0.00051, 0.02, 0.02, 10, 10.5, 300]) {
    for (const labels of [read, refused]) {
      durations.observerOf(labels)(seconds);
      histogram.observe(labels, seconds);
    }
  }
  expect(await ours.metrics()).toBe(await theirs.metrics());
  expect(await theirs.getMetricsAsJSON(), 'for the other workers').toMatchObject(await ours.getMetricsAsJSON());
});

it('is empty before the first call', async () => {
  const registry = new Registry();
  new Durations(name, help, registry);
  expect(await registry.metrics()).toBe(`# HELP ${name} ${help}\n# TYPE ${name} histogram\n`);
});
