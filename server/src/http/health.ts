import { Problem } from '@kohort/contract';
import type { FastifyInstance } from 'fastify';

/** `/healthz`: the process lives. `/readyz`: it can serve; 503 before the database is there, while it is away, and while draining. */
export function answerHealth(app: FastifyInstance, isReady: () => boolean): void {
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async () => {
    if (!isReady()) throw new Problem('unavailable', 'Not ready.', { retryAfter: 1 });
    return { status: 'ok' };
  });
}
