import { describe, expect, it } from 'vitest';
import { addressSubject } from './address.ts';

describe('what an address is counted as', () => {
  it.each<[string | undefined, string]>([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2:ffff::1', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8::/64'],
    ['::1', '::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['64:ff9b::192.0.2.33', '64:ff9b::/64'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4::/64'],
    ['203.0.113.777', 'unknown'],
    ['1', 'unknown'],
    ['0x7f.1', 'unknown'],
    ['', 'unknown'],
    ['not an address', 'unknown'],
    [undefined, 'unknown'],
  ])('%s -> %s', (ip, subject) => {
    expect(addressSubject(ip)).toBe(subject);
  });
});
