import { Problem } from '@kohort/contract';
import type { FastifyInstance } from 'fastify';

/** `/healthz`: the process is alive. `/readyz`: it can serve; 503 while the database is unreachable and while draining. */
export function answerHealth(app: FastifyInstance, isReady: () => boolean): void {
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async () => {
    if (!isReady()) throw new Problem('unavailable', 'Not ready.', { retryAfter: 1 });
    return { status: 'ok' };
  });
}
