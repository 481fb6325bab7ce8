import { isIP } from 'node:net';

const IPV4_MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** The eight groups of an IPv6 address as numbers; the text has passed `isIP`. */
function groupsOf(ipv6: string): number[] {
  const plain = ipv6.replace(/%.*$/, '').replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => {
    const pair = (high: string, low: string) => (Number(high) * 256 + Number(low)).toString(16);
    return `${pair(a, b)}:${pair(c, d)}`;
  });
  const [head = '', tail] = plain.split('::');
  const read = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const before = read(head);
  const after = read(tail ?? '');
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}

/** What attempts from an address are counted against. IPv6 by /64, because that is what one customer gets. */
export function addressSubject(ip: string): string {
  const address = IPV4_MAPPED.exec(ip)?.[1] ?? ip;
  switch (isIP(address)) {
    case 4:
      return address;
    case 6: {
      const network = groupsOf(address).slice(0, 4);
      return `${network.map((group) => group.toString(16)).join(':')}::/64`;
    }
    default:
      return 'unknown';
  }
}
