import http from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Destination } from './destination.ts';

/** What a receiver answered. */
export interface Response {
  readonly status: number;
  /** The beginning of the body, for people. */
  readonly excerpt: string;
  /** As it was sent. */
  readonly retryAfter: string | undefined;
}

export interface PostLimits {
  /** Milliseconds that the body of a response may take: its status has been heard by then. */
  readonly bodyMs: number;
}

/** A connection to one receiver, kept open from message to message. */
export interface Connection {
  post(headers: Readonly<Record<string, string>>, body: Buffer, signal: AbortSignal): Promise<Response>;
  close(): void;
}

const defaultLimits: PostLimits = { bodyMs: 1_000 };
const excerptBytes = 1_024;
/** A longer body is not worth the connection. */
const maxBodyBytes = 16_384;
const maxHeaderBytes = 16_384;

/** Connects to the addresses of `destination` and to no other, whatever its name resolves to by then. Follows no redirect. */
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

/** The receiver may have closed an open connection just before it was used again. */
class StaleConnection extends Error {
  constructor(cause: Error) {
    super('the connection was closed', { cause });
  }
}

/** Not called for a URL whose host is an address: that one has been checked itself. */
function onlyOf(addresses: readonly string[]): LookupFunction {
  const found = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_host, { all }, callback) => {
    const [first] = found;
    if (!first) return callback(new Error('no address'), '');
    if (all) callback(null, found);
    else callback(null, first.address, first.family);
  };
}

/** The status has decided by now: what is wrong with the body, or too much of it, is cut off. */
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
    // What came until then will do.
  } finally {
    clearTimeout(timer);
  }
  return {
    status: response.statusCode ?? 0,
    excerpt: plainText(Buffer.concat(kept)),
    retryAfter: response.headers['retry-after'],
  };
}

/** What can be stored and shown: the last character may have been cut in two, and PostgreSQL takes no NUL. */
function plainText(bytes: Buffer): string {
  return new TextDecoder()
    .decode(bytes)
    .replaceAll(/\p{Cc}+/gu, ' ')
    .trim();
}
