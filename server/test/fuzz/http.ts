import { Agent, request } from 'node:http';
import type { Send } from './world.ts';

/** Sends over sockets, with paths and headers exactly as they stand. */
export function sendTo(port: number): { send: Send; close: () => void } {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  return {
    send: ({ method, path, headers, payload }) =>
      new Promise((resolve, reject) => {
        const sent = request({ host: '127.0.0.1', port, agent, method, path, headers }, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
          });
        });
        sent.on('error', reject);
        // All methods alike say how long their body is, so that none is sent in chunks.
        if (payload !== undefined) sent.setHeader('content-length', Buffer.byteLength(payload));
        sent.end(payload);
      }),
    close: () => agent.destroy(),
  };
}
