import { Agent, request } from 'node:http';
import type { Ask } from '@kohort/testkit/http.ts';

/** How a call ended, as its client sees it. */
export type Outcome =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly code: string | undefined;
      readonly retryAfter: string | undefined;
      readonly text: string;
    }
  /** No connection: the call cannot have been carried out. */
  | { readonly kind: 'refused' }
  /** The connection broke after the call was sent: it may have been carried out. */
  | { readonly kind: 'lost'; readonly why: string; readonly wasKept: boolean }
  | { readonly kind: 'hung' };

/** It only ends what hangs: `seen.slowest` says how long answers take. */
const giveUpAfterMs = 60_000;

/**
 * Either side may end a kept connection at any time (RFC 9112, 9.3.1), so a call that met its end is sent once more, as HTTP
 * clients do. The answer to the second one does not prove that the first was not carried out.
 */
export async function callAgain(
  caller: Caller,
  port: () => number,
  ask: Ask,
): Promise<{ outcome: Outcome; again: boolean }> {
  const first = await caller.call(port(), ask);
  if (first.kind !== 'lost' || !first.wasKept) return { outcome: first, again: false };
  const second = await caller.call(port(), ask);
  const isDone = second.kind === 'answer' && second.status < 300;
  return { outcome: isDone ? second : first, again: true };
}

export interface Caller {
  call(port: number, ask: Ask): Promise<Outcome>;
  close(): void;
}

/** A client that keeps its connections, like another service. */
export function createCaller(token: () => string | undefined, sockets = 64): Caller {
  const agent = new Agent({ keepAlive: true, maxSockets: sockets });

  function call(port: number, { method, path, body, headers = {} }: Ask): Promise<Outcome> {
    const bearer = token();
    const payload = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve) => {
      const sent = request(
        {
          agent,
          host: '127.0.0.1',
          port,
          method,
          path,
          headers: {
            ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
            ...(payload !== undefined && {
              'content-type': 'application/json',
              'content-length': Buffer.byteLength(payload),
            }),
            ...headers,
          },
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk) => {
            text += chunk;
          });
          response.on('error', (error) =>
            end({
              kind: 'lost',
              why: `${error.message} on a ${sent.reusedSocket ? 'kept' : 'new'} connection`,
              wasKept: sent.reusedSocket,
            }),
          );
          response.on('end', () => {
            const status = response.statusCode ?? 0;
            const code = /"code":"(\w+)"/.exec(status >= 400 ? text : '')?.[1];
            end({ kind: 'answer', status, code, retryAfter: response.headers['retry-after'], text });
          });
        },
      );
      const timer = setTimeout(() => {
        end({ kind: 'hung' });
        sent.destroy();
      }, giveUpAfterMs);
      function end(outcome: Outcome): void {
        clearTimeout(timer);
        resolve(outcome);
      }
      sent.on('error', (error) => {
        const refused = 'code' in error && error.code === 'ECONNREFUSED';
        end(
          refused
            ? { kind: 'refused' }
            : {
                kind: 'lost',
                why: `${error.message} on a ${sent.reusedSocket ? 'kept' : 'new'} connection`,
                wasKept: sent.reusedSocket,
              },
        );
      });
      sent.end(payload);
    });
  }

  return { call, close: () => agent.destroy() };
}
