import type { IncomingMessage } from 'node:http';
import proxyAddress from '@fastify/proxy-addr';
import ipaddr from 'ipaddr.js';

const ipv6NetworkBits = 64;

/**
 * The key that an address is counted under. IPv6 addresses count by /64, because one customer gets a /64.
 * @param ip undefined once the client has left, whatever Fastify's types say: a closed socket has no address.
 */
export function addressSubject(ip: string | undefined): string {
  if (ip === undefined) return 'unknown';
  // Nearly all addresses have this form.
  if (/^[0-9.]+$/.test(ip) && ipaddr.IPv4.isValidFourPartDecimal(ip)) return ip;
  const plain = ip.replace(/%.*$/, '');
  if (!plain.includes(':') || !ipaddr.isValid(plain)) return 'unknown';
  const address = ipaddr.process(plain);
  if (address.kind() === 'ipv4') return address.toString();
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${address}/${ipv6NetworkBits}`)}/${ipv6NetworkBits}`;
}

/** Whether an address belongs to a trusted proxy; see `TRUST_PROXY`. */
export type IsTrusted = (address: string, hop: number) => boolean;

export function trustOf(trustProxy: readonly string[]): IsTrusted | undefined {
  return trustProxy.length === 0 ? undefined : proxyAddress.compile([...trustProxy]);
}

/** Finds the client of a request: the socket's address, or what a trusted proxy reports. */
export function clientAddress(isTrusted: IsTrusted | undefined): (request: IncomingMessage) => string {
  if (!isTrusted) return ({ socket }) => addressSubject(socket.remoteAddress);
  return (request) => addressSubject(proxyAddress(request, isTrusted));
}
