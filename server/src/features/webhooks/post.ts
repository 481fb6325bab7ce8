import http from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Destination } from './destination.ts';

/** The response of a receiver. */
export interface Response {
  readonly status: number;
  /** The beginning of the body, for display. */
  readonly excerpt: string;
  /** The header as received. */
  readonly retryAfter: string | undefined;
}

export interface PostLimits {
  /** Time limit for the body of a response. Its status is known by then. */
  readonly bodyMs: number;
}

/** A connection to one receiver, kept open between messages. */
export interface Connection {
  post(headers: Readonly<Record<string, string>>, body: Buffer, signal: AbortSignal): Promise<Response>;
  close(): void;
}

const defaultLimits: PostLimits = { bodyMs: 1_000 };
const excerptBytes = 1_024;
/** A longer body closes the connection instead of being read. */
const maxBodyBytes = 16_384;
const maxHeaderBytes = 16_384;

/** Connects only to the addresses of `destination`, even if its name resolves to others by then. Follows no redirects. */
export function connectTo({ url, addresses }: Destination, limits: PostLimits = defaultLimits): Connection {
  const agentOptions = { keepAlive: true, maxSockets: 1, maxFreeSockets: 1 };
  const isSecure = url.protocol === 'https:';
  const agent = isSecure ? new https.Agent(agentOptions) : new http.Agent(agentOptions);
  const { request } = isSecure ? https : http;
  const options: http.RequestOptions = {
    method: 'POST',
    agent,
    maxHeaderSize: maxHeaderBytes,
    lookup: onlyOf(addresses),
  };
  const send = (headers: http.OutgoingHttpHeaders, body: Buffer, signal: AbortSignal) =>
    new Promise<Response>((resolve, reject) => {
      const call = request(url, { ...options, headers, signal }, (response) => {
        resolve(readResponse(response, limits));
      });
      call.on('error', (error) => reject(call.reusedSocket ? new StaleConnection(error) : error));
      call.end(body);
    });
  return {
    async post(given, body, signal) {
      const headers = { ...given, 'content-length': body.length, 'accept-encoding': 'identity' };
      try {
        return await send(headers, body, signal);
      } catch (error) {
        if (!(error instanceof StaleConnection)) throw error;
        signal.throwIfAborted();
        return await send(headers, body, signal).catch((again) => {
          throw again instanceof StaleConnection ? again.cause : again;
        });
      }
    },
    close: () => agent.destroy(),
  };
}

/** The receiver may have closed a kept connection just before it was used again. */
class StaleConnection extends Error {
  constructor(cause: Error) {
    super('the connection was closed', { cause });
  }
}

/** Not called for a URL whose host is an address, which has been checked already. */
function onlyOf(addresses: readonly string[]): LookupFunction {
  const found = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_host, { all }, callback) => {
    const [first] = found;
    if (!first) return callback(new Error('no address'), '');
    if (all) callback(null, found);
    else callback(null, first.address, first.family);
  };
}

/** The status decides the outcome, so a broken or long body is cut off without an error. */
async function readResponse(response: http.IncomingMessage, { bodyMs }: PostLimits): Promise<Response> {
  const kept: Buffer[] = [];
  let size = 0;
  const timer = setTimeout(() => response.destroy(), bodyMs);
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (size < excerptBytes) kept.push(chunk.subarray(0, excerptBytes - size));
      size += chunk.length;
      if (size > maxBodyBytes) break;
    }
  } catch {
    // The part that arrived is enough.
  } finally {
    clearTimeout(timer);
  }
  return {
    status: response.statusCode ?? 0,
    excerpt: plainText(Buffer.concat(kept)),
    retryAfter: response.headers['retry-after'],
  };
}

/** Cleans the text for storage: the last character may be cut in two, and PostgreSQL rejects NUL. */
function plainText(bytes: Buffer): string {
  return new TextDecoder()
    .decode(bytes)
    .replaceAll(/\p{Cc}+/gu, ' ')
    .trim();
}
