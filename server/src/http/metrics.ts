import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { Durations } from './durations.ts';
import type { WebServer } from './server.ts';

/** Gauges that the library names like counters, which `promtool check metrics` rejects. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** Prometheus metrics of one service instance. Features add their own to `registry`. */
export function createMetrics(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  return registry;
}

/** Returns a way to observe calls, in seconds, that do not pass through the framework. */
export function measureRequests(
  { app, fastPath, shedding, tracker }: WebServer,
  registry: Registry,
  render: () => Promise<string>,
): (method: string, route: string) => (seconds: number) => void {
  const durations = new Durations(
    'kohort_http_request_duration_seconds',
    'Time from the first byte of a request to the last byte of its answer.',
    registry,
  );
  new Gauge({
    name: 'kohort_http_requests_under_way',
    help: 'Requests received but not yet answered.',
    registers: [registry],
    collect() {
      this.set(tracker.underWay);
    },
  });
  new Counter({
    name: 'kohort_http_requests_refused_total',
    help: 'Requests refused with 503 before any work was done, because too many were in progress.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(shedding.refused);
    },
  });
  // Label values are few: templates, never paths, which contain external ids.
  app.addHook('onResponse', (request, reply, done) => {
    const { method } = request;
    const route = request.routeOptions.url ?? 'unknown';
    const failure = fastPath.failureOf(request.raw);
    const elapsed = failure ? performance.now() - failure.started : reply.elapsedTime;
    durations.observerOf({ method, route, status: reply.statusCode })(elapsed / 1000);
    done();
  });
  app.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await render()));
  return (method, route) => durations.observerOf({ method, route, status: 200 });
}
