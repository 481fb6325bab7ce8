import type { IncomingMessage } from 'node:http';
import proxyAddress from '@fastify/proxy-addr';
import ipaddr from 'ipaddr.js';

const ipv6NetworkBits = 64;

/** What an address is counted as. IPv6 by /64, because that is what one customer gets. */
export function addressSubject(ip: string): string {
  // The form in which nearly all come.
  if (/^[0-9.]+$/.test(ip) && ipaddr.IPv4.isValidFourPartDecimal(ip)) return ip;
  const plain = ip.replace(/%.*$/, '');
  if (!plain.includes(':') || !ipaddr.isValid(plain)) return 'unknown';
  const address = ipaddr.process(plain);
  if (address.kind() === 'ipv4') return address.toString();
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${address}/${ipv6NetworkBits}`)}/${ipv6NetworkBits}`;
}

/** Whether an address is one of a proxy that is believed; see `TRUST_PROXY`. */
export type IsTrusted = (address: string, hop: number) => boolean;

export function trustOf(trustProxy: readonly string[]): IsTrusted | undefined {
  return trustProxy.length === 0 ? undefined : proxyAddress.compile([...trustProxy]);
}

/** How to find the client of a request: the socket's address, or what a trusted proxy says of it. */
export function clientAddress(isTrusted: IsTrusted | undefined): (request: IncomingMessage) => string {
  if (!isTrusted) return ({ socket }) => addressSubject(socket.remoteAddress ?? '');
  return (request) => addressSubject(proxyAddress(request, isTrusted));
}
