import { setTimeout as sleep } from 'node:timers/promises';
import { open, type Wire } from '@kohort/testkit/wire.ts';
import type { Listening } from './listen.ts';
import { ADMIN_PASSWORD, type Answer } from './service.ts';

const maxPauseMs = 200;

/** Sends calls on a connection of its own, and returns the parsed answers. */
export interface Client {
  (method: string, path: string, body?: object): Promise<Answer['body']>;
  close(): void;
}

/** One connection, one call at a time: far cheaper than `fetch`, and it is the service that is to be kept busy. */
function clientOn(wire: Wire, token?: string): Client {
  const send = async (method: string, path: string, body?: object) => {
    const text = body ? JSON.stringify(body) : '';
    const headers = [
      `${method} ${path} HTTP/1.1`,
      'host: kohort',
      ...(token ? [`authorization: Bearer ${token}`] : []),
      ...(body ? ['content-type: application/json', `content-length: ${text.length}`] : []),
    ];
    for (;;) {
      wire.write(`${headers.join('\r\n')}\r\n\r\n${text}`);
      const answer = await wire.next();
      if (answer.status < 300) return JSON.parse(answer.text);
      // On a busy machine, or on workers, a call may have waited for as long as calls may.
      if (answer.status !== 503) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text}`);
      await sleep(Math.random() * maxPauseMs);
    }
  };
  return Object.assign(send, { close: () => void wire.socket.destroy() });
}

export async function tokenFor({ port }: Listening): Promise<string> {
  const client = clientOn(await open(port));
  const { token } = await client('POST', '/auth/sign-in', { username: 'admin', password: ADMIN_PASSWORD });
  client.close();
  return token;
}

export async function connect(instance: Listening, token?: string): Promise<Client> {
  return clientOn(await open(instance.port), token ?? (await tokenFor(instance)));
}
