import type { IncomingMessage } from 'node:http';
import { isIP, isIPv6 } from 'node:net';
import { Problem } from '@kohort/contract';
import type { FastifyRequest } from 'fastify';
import type { IsTrusted } from './address.ts';

/** `PUBLIC_URL`: the address of the service, which may be behind a proxy that adds a prefix to its paths. */
export interface PublicUrl {
  readonly origin: string;
  /** Without a trailing slash; empty when there is no prefix. */
  readonly pathPrefix: string;
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly publicUrl: PublicUrl | undefined;
    readonly isTrusted: IsTrusted | undefined;
  }
}

const MAX_LENGTH = 255;
const HOST = /^(?:[A-Za-z0-9._-]+|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{1,5}))?$/;
let lastGood: string | undefined;

/** Whether this is `host[:port]` as in a URL. Nearly all calls carry the same host, so the last valid one is remembered. */
export function isHost(text: string | undefined): text is string {
  if (text === undefined || text === lastGood) return text !== undefined;
  const found = text.length <= MAX_LENGTH ? HOST.exec(text) : null;
  if (!found) return false;
  const [, v6, port = '0'] = found;
  if ((v6 !== undefined && !isIPv6(v6)) || Number(port) > 65_535) return false;
  lastGood = text;
  return true;
}

/**
 * Why a request is refused whatever it asks for: its target, its credential or the framing of its body is ambiguous. Repeated
 * header lines arrive joined by commas, which neither a host nor a credential contains.
 */
export function headRefusal({
  headers,
  httpVersion,
  rawHeaders,
  url = '',
  method,
}: IncomingMessage): Problem | undefined {
  const { host, authorization, 'transfer-encoding': coding } = headers;
  // The router would treat a target without a leading slash as if it had one.
  if (!url.startsWith('/') && method !== 'OPTIONS' && !/^https?:\/\//i.test(url)) {
    return new Problem('malformed', 'The request target is not a path.');
  }
  if (host === undefined) {
    if (httpVersion === '1.1') return new Problem('malformed', 'The request has no Host header.');
  } else if (!isHost(host)) {
    return new Problem('malformed', 'The Host header is not one host, or host:port.');
  }
  if (authorization?.includes(',') && isRepeated(rawHeaders, 'authorization')) {
    return new Problem('malformed', 'The request has more than one Authorization header.');
  }
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    return new Problem('malformed', 'The only supported Transfer-Encoding is chunked.');
  }
  return undefined;
}

/** Whether several header lines have this name, given in lower case. */
export function isRepeated(rawHeaders: readonly string[], name: string): boolean {
  return rawHeaders.filter((text, i) => i % 2 === 0 && text.toLowerCase() === name).length > 1;
}

/** The first value that a chain of trusted proxies put into a header. */
function forwarded({ server, headers, raw }: FastifyRequest, name: string): string | undefined {
  const value = headers[name];
  const isTrusted = value !== undefined && server.isTrusted?.(raw.socket.remoteAddress ?? '', 0);
  return isTrusted ? String(value).split(',', 1)[0]?.trim() : undefined;
}

/** The scheme and host of `PUBLIC_URL`, or else those that this call used. */
export function originOf(request: FastifyRequest): string {
  const { publicUrl } = request.server;
  if (publicUrl) return publicUrl.origin;
  const scheme = forwarded(request, 'x-forwarded-proto')?.toLowerCase() === 'https' ? 'https' : 'http';
  const host = [forwarded(request, 'x-forwarded-host'), request.headers.host].find(isHost);
  if (host !== undefined) return `${scheme}://${host}`;
  const { localAddress = '127.0.0.1', localPort } = request.raw.socket;
  const address = localAddress.replace(/^::ffff:(?=[0-9.]+$)/, '');
  return `${scheme}://${isIPv6(address) ? `[${address}]` : address}:${localPort}`;
}

/** The beginning of every link in our answers. */
export function baseUrlOf(request: FastifyRequest): string {
  return originOf(request) + (request.server.publicUrl?.pathPrefix ?? '');
}

/**
 * Whether a call may come from a foreign page whose domain name its owner has pointed at this service (DNS rebinding). Only
 * browsers send `Origin` or `Sec-Fetch-Site`. `ownHost` is the value of HOST.
 */
export function isOfForeignPage({ headers }: IncomingMessage, ownHost: string): boolean {
  if (headers.origin === undefined && headers['sec-fetch-site'] === undefined) return false;
  const name = (headers.host ?? '').replace(/:[0-9]+$/, '').toLowerCase();
  const isOurs = name === ownHost.toLowerCase() || /(?:^|\.)localhost$/.test(name);
  return !isOurs && isIP(name.replace(/^\[|\]$/g, '')) === 0;
}
