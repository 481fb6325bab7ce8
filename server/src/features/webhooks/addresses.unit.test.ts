import { describe, expect, it } from 'vitest';
import { isAllowed, isReachable, parseNetworks } from './addresses.ts';

const REFUSED = [
  ['unspecified', '0.0.0.0', '0.1.2.3', '::'],
  ['loopback', '127.0.0.1', '127.255.255.254', '::1'],
  ['private', '10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
  ['unique local', 'fc00::1', 'fd12:3456::1'],
  ['link-local', '169.254.0.1', 'fe80::1', 'fe80::1%1', 'febf::1'],
  ['site-local', 'fec0::1'],
  ['metadata', '169.254.169.254', 'fd00:ec2::254', '100.100.100.200', '192.0.0.192', '168.63.129.16'],
  ['shared by carriers', '100.64.0.1', '100.127.255.255'],
  ['multicast', '224.0.0.1', '239.255.255.255', 'ff02::1', 'ff0e::1'],
  ['broadcast', '255.255.255.255'],
  ['reserved', '240.0.0.1', '192.0.0.1', '192.88.99.1', '198.18.0.1', '198.19.255.255', '2001::1', '2001:1ff::1'],
  ['for documents', '192.0.2.1', '198.51.100.1', '203.0.113.1', '2001:db8::1', '3fff::1'],
  ['IPv4 in IPv6', '::ffff:127.0.0.1', '::ffff:a00:1', '::ffff:169.254.169.254', '::ffff:0:127.0.0.1'],
  ['IPv4-compatible', '::127.0.0.1', '::8.8.8.8'],
  ['NAT64', '64:ff9b::127.0.0.1', '64:ff9b::a9fe:a9fe', '64:ff9b::10.0.0.1', '64:ff9b::168.63.129.16'],
  ['NAT64 with a local prefix', '64:ff9b:1::1', '64:ff9b:1::8.8.8.8', '64:ff9b:1:ffff::8.8.8.8'],
  ['6to4', '2002:7f00:1::', '2002:a00:1::1', '2002:808:808::1'],
  ['Teredo', '2001:0:7f00:1::1', '2001:0:808:808::1'],
  ['discarded', '100::1'],
  ['not given out', '4000::1', '5f00::1', '::2', '1::1', 'e000::1', '64:ff9b:2::1', '64:ff9b:0:1::8.8.8.8'],
] as const;

it.each(REFUSED.flatMap(([kind, ...addresses]) => addresses.map((address) => [kind, address])))(
  'refuses %s: %s',
  (_, address) => {
    expect(isReachable(address, [])).toBe(false);
    expect(isReachable(address.toUpperCase(), [])).toBe(false);
  },
);

it.each([
  '8.8.8.8',
  '1.1.1.1',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '126.255.255.255',
  '128.0.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '192.167.255.255',
  '192.169.0.0',
  '223.255.255.255',
  '2606:4700::1111',
  '2a00:1450:4001::1',
  '::ffff:8.8.8.8',
  '64:ff9b::8.8.8.8',
])('reaches %s', (address) => {
  expect(isReachable(address, [])).toBe(true);
  expect(isAllowed(address, [])).toBe(false);
});

describe('allowed networks', () => {
  it.each([
    ['127.0.0.0/8', '127.0.0.1', true],
    ['127.0.0.0/8', '128.0.0.1', true],
    ['127.0.0.0/8', '::1', false],
    ['127.0.0.0/8', '10.0.0.1', false],
    ['127.0.0.0/8', '::ffff:127.0.0.1', true],
    ['127.0.0.0/8', '64:ff9b::127.0.0.1', true],
    ['10.0.0.7', '10.0.0.7', true],
    ['10.0.0.7', '10.0.0.8', false],
    ['10.0.0.9/8', '10.255.0.1', true],
    ['::1', '::1', true],
    ['::1', '127.0.0.1', false],
    ['fd00::/8', 'fd12::1', true],
    ['fd00::/8', 'fc12::1', false],
    ['64:ff9b:1::/48', '64:ff9b:1::10.0.0.1', true],
    ['::ffff:0:0/96', '127.0.0.1', false],
    ['0.0.0.0/0', '169.254.169.254', true],
    ['0.0.0.0/0', 'fe80::1', false],
  ])('%s and %s: %s', (network, address, reachable) => {
    expect(isReachable(address, parseNetworks([network]))).toBe(reachable);
  });

  it('several may be given', () => {
    const allowed = parseNetworks(['10.0.0.0/8', '::1']);
    expect(['10.1.1.1', '::1', '127.0.0.1'].map((address) => isReachable(address, allowed))).toEqual([
      true,
      true,
      false,
    ]);
  });
});
