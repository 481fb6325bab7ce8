import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createWebServer } from '../server.ts';

it('a client that reads nothing of its answer is cut off in time, and what the answer is drawn from is let go; one that reads is not', async () => {
  const { app } = createWebServer({
    logLevel: 'silent',
    trustProxy: [],
    translate: () => undefined,
    limits: { unreadMs: 1_500, sweepEveryMs: 20 },
  });
  let open = 0;
  app.get('/endless', async (_request, reply) => {
    async function* lines() {
      open++;
      try {
        for (;;) {
          // Others have their turn.
          await sleep(1);
          yield 'x'.repeat(64 * 1024);
        }
      } finally {
        open--;
      }
    }
    return reply.send(Readable.from(lines()));
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const address = app.server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const [deaf, reader] = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
  try {
    for (const socket of [deaf, reader]) {
      socket.on('error', () => undefined);
      socket.write('GET /endless HTTP/1.1\r\nHost: x\r\n\r\n');
    }
    deaf.pause();
    reader.resume();
    await expect.poll(() => open).toBe(2);
    await expect.poll(() => open).toBe(1);
    expect(reader.closed).toBe(false);
  } finally {
    reader.destroy();
    deaf.resume();
    if (!deaf.closed) await once(deaf, 'close');
    await app.close();
  }
});
