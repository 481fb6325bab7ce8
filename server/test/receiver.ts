import { randomUUID } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** A message as received. */
export interface Received {
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests assert what is in it.
  readonly body: any;
}

export interface Receiver {
  readonly url: string;
  readonly port: number;
  readonly path: string;
  readonly received: readonly Received[];
  /** The total number of connections. */
  readonly connections: () => number;
  stop(): Promise<void>;
}

/** Answers a message; the default is 204. Returning without an answer keeps the sender waiting. */
export type Answering = (response: ServerResponse, message: Received, socket: Socket) => void;

/**
 * A receiver of webhooks on loopback. Its port may have been that of another one, to which a service still sends: only what comes to
 * its own path is received.
 */
export async function startReceiver(
  answer: Answering = (response) => response.writeHead(204).end(),
): Promise<Receiver> {
  const path = `/hook/${randomUUID()}`;
  const received: Received[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((request, response) => {
    if (request.url !== path) {
      response.writeHead(404).end();
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString('utf8');
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
      const message = { headers, text, body: text === '' ? undefined : JSON.parse(text) };
      received.push(message);
      answer(response, message, request.socket);
    });
  });
  server.on('connection', (socket) => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || !address) throw new Error('no address');
  return {
    url: `http://127.0.0.1:${address.port}${path}`,
    port: address.port,
    path,
    received,
    connections: () => connections,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
