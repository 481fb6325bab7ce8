import { isIP } from 'node:net';
import { type AllowedNetworks, isAllowed, isReachable } from './addresses.ts';
import type { ResolveName } from './resolve-name.ts';

export interface DestinationSettings {
  readonly allowed: AllowedNetworks;
  /** Whether plain HTTP is limited to allowed networks. */
  readonly needsHttps: boolean;
  readonly resolveName: ResolveName;
}

/** A URL, and the only addresses that may be connected to. */
export interface Destination {
  readonly url: URL;
  readonly addresses: readonly string[];
}

/** A URL that webhooks may not use. The message completes a sentence that begins with "the url", and is shown to the caller. */
export class UrlRefused extends Error {
  override readonly name = 'UrlRefused';
}

/** Lower ports belong to other protocols, whose servers might act on parts of a request. */
const firstFreePort = 1024;
const webPorts = ['', '80', '443'];

/**
 * Checks everything that needs no look-up. The parser normalizes every spelling of an IPv4 address to four decimal parts.
 * @throws UrlRefused
 */
export function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol)) throw new UrlRefused('must begin with https:// or http://');
  if (url.username !== '' || url.password !== '') throw new UrlRefused('must not hold a user name or a password');
  if (text.includes('#')) throw new UrlRefused('must not have a fragment');
  if (url.port === '0') throw new UrlRefused('must not name port 0');
  return url;
}

/**
 * Resolves the host, and checks all of its current addresses.
 * @throws UrlRefused if one of them must not be reached; the error of the look-up if there is none.
 */
export async function locate(
  { allowed, needsHttps, resolveName }: DestinationSettings,
  url: URL,
  signal: AbortSignal,
): Promise<Destination> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const addresses = isIP(host) > 0 ? [host] : await resolveName(host, signal);
  if (addresses.some((address) => !isReachable(address, allowed))) {
    throw new UrlRefused(
      isIP(host) > 0
        ? 'is an address that is not public; WEBHOOK_ALLOW names the networks that are allowed all the same'
        : 'names a host with an address that is not public; WEBHOOK_ALLOW names the networks that are allowed all the same',
    );
  }
  const isTrusted = addresses.length > 0 && addresses.every((address) => isAllowed(address, allowed));
  if (!isTrusted) refuseUnlessPublic(url, needsHttps);
  return { url, addresses };
}

/** Rules for receivers outside the allowed networks. @throws UrlRefused */
export function refuseUnlessPublic(url: URL, needsHttps: boolean): void {
  if (needsHttps && url.protocol === 'http:') {
    throw new UrlRefused('must begin with https://, since plain HTTP is for networks in WEBHOOK_ALLOW');
  }
  if (!webPorts.includes(url.port) && Number(url.port) < firstFreePort) {
    throw new UrlRefused(`must name port 80, port 443, or one from ${firstFreePort} on`);
  }
}
