import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Histogram, Registry } from 'prom-client';

/** Prometheus metrics of one service instance. Features add their own to `registry`. */
export function createMetrics(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

/** Answers how to observe a call that does not pass through the framework, in seconds. */
export function measureRequests(
  app: FastifyInstance,
  registry: Registry,
  render: () => Promise<string>,
): (route: string) => (seconds: number) => void {
  const durations = new Histogram({
    name: 'kohort_http_request_duration_seconds',
    help: 'Time from the first byte of a request to the last byte of its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  app.addHook('onResponse', async (request, reply) => {
    durations.observe(
      // The template, never the path: bounded labels, and no external ids in them.
      { method: request.method, route: request.routeOptions.url ?? 'unknown', status: reply.statusCode },
      reply.elapsedTime / 1000,
    );
  });
  app.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await render()));
  return (route) => {
    const observer = durations.labels({ method: 'GET', route, status: 200 });
    return (seconds) => observer.observe(seconds);
  };
}
