import ipaddr from 'ipaddr.js';

type Address = ReturnType<typeof ipaddr.parse>;
type Network = ReturnType<typeof ipaddr.parseCIDR>;

/** Networks that webhooks may reach although they are not public. */
export type AllowedNetworks = readonly Network[];

/** Parses addresses and networks that the configuration has validated. */
export function parseNetworks(texts: readonly string[]): AllowedNetworks {
  return texts.map((text) => {
    if (text.includes('/')) return ipaddr.parseCIDR(text);
    const address = ipaddr.parse(text);
    return [address, address.kind() === 'ipv4' ? 32 : 128];
  });
}

/** The library confuses `::8.8.8.8` with `::ffff:8.8.8.8`, so IPv6 is normalized to hexadecimal first. */
function parseAddress(text: string): Address {
  const plain = text.replace(/%.*$/, '');
  return ipaddr.parse(plain.includes(':') ? new URL(`http://[${plain}]`).hostname.slice(1, -1) : plain);
}

/** A public address where Azure serves the credentials of its machines. */
const azureMetadata = '168.63.129.16';
/** The only part of IPv6 from which public addresses are assigned. */
const globalUnicast = ipaddr.IPv6.parseCIDR('2000::/3');
const nat64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');

/** The IPv4 address that an IPv6 address leads to, by mapping or by NAT64. */
function embeddedIPv4(address: Address): Address | undefined {
  if (!(address instanceof ipaddr.IPv6)) return undefined;
  if (address.isIPv4MappedAddress()) return address.toIPv4Address();
  return address.match(nat64) ? ipaddr.fromByteArray(address.toByteArray().slice(12)) : undefined;
}

/** 6to4, Teredo and NAT64 with a local prefix also lead to IPv4 addresses, but never to a public receiver's. */
function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast') return false;
  return address instanceof ipaddr.IPv6 ? address.match(globalUnicast) : address.toString() !== azureMetadata;
}

function isIn(address: Address, networks: AllowedNetworks): boolean {
  return networks.some(([network, bits]) => network.kind() === address.kind() && address.match([network, bits]));
}

/** Whether an allowed network contains the address, either as written or where it leads. */
export function isAllowed(text: string, allowed: AllowedNetworks): boolean {
  const address = parseAddress(text);
  const target = embeddedIPv4(address);
  return isIn(address, allowed) || (target !== undefined && isIn(target, allowed));
}

/** Whether a webhook may connect to an IP address. */
export function isReachable(text: string, allowed: AllowedNetworks): boolean {
  const address = parseAddress(text);
  return isPublic(embeddedIPv4(address) ?? address) || isAllowed(text, allowed);
}
