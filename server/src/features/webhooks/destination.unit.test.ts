import { describe, expect, it } from 'vitest';
import { parseNetworks } from './addresses.ts';
import { locate, readUrl } from './destination.ts';

const signal = new AbortController().signal;
const names: Readonly<Record<string, readonly string[]>> = {
  'public.example': ['93.184.215.14', '2606:2800:21f::1'],
  'private.example': ['10.0.0.1'],
  'mixed.example': ['93.184.215.14', '127.0.0.1'],
  'mapped.example': ['::ffff:10.0.0.1'],
  'nat64.example': ['64:ff9b::7f00:1'],
  'nowhere.example': [],
};
async function located(url: string, { allow = [] as string[], needsHttps = false } = {}): Promise<readonly string[]> {
  const resolveName = async (host: string) => {
    const found = names[host];
    if (!found) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
    return found;
  };
  const settings = { allowed: parseNetworks(allow), needsHttps, resolveName };
  return (await locate(settings, readUrl(url), signal)).addresses;
}

const LOOPBACK = [
  '127.0.0.1',
  '127.1',
  '127.0.1',
  '2130706433',
  '0x7f000001',
  '0x7f.1',
  '0X7F.0.0.0x1',
  '0177.0.0.1',
  '017700000001',
  '127.0.0.1.',
  '１２７.0.0.1',
  '127。0。0。1',
  '%31%32%37.0.0.1',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::ffff:127.0.0.1]',
  '[::FFFF:7f00:1]',
  '[::127.0.0.1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b:1::127.0.0.1]',
  '[2002:7f00:1::]',
  '0',
  '0.0.0.0',
  '[::]',
];

describe.each(['http', 'https'])('%s refuses the address', (scheme) => {
  it.each(LOOPBACK)('%s', async (host) => {
    await expect(located(`${scheme}://${host}/`)).rejects.toMatchObject({ name: 'UrlRefused' });
    await expect(located(`${scheme}://${host}:8080/hook?x=1`)).rejects.toMatchObject({ name: 'UrlRefused' });
  });
});

it.each(['private.example', 'mixed.example', 'mapped.example', 'nat64.example'])(
  'refuses the name %s without a word about its addresses',
  async (host) => {
    const refusal = await located(`https://${host}/`).catch((error) => error);
    expect(refusal).toMatchObject({ name: 'UrlRefused' });
    expect(refusal.message).not.toMatch(/10\.0|127\.0|7f00/);
  },
);

it('resolves public names', async () => {
  expect(await located('https://public.example/')).toEqual(names['public.example']);
  expect(await located('https://93.184.215.14/')).toEqual(['93.184.215.14']);
  expect(await located('https://[2606:2800:21f::1]:8443/')).toEqual(['2606:2800:21f::1']);
  await expect(located('https://unknown.example/')).rejects.toMatchObject({ code: 'ENOTFOUND' });
});

it.each([
  '',
  'hook',
  '//public.example/',
  'public.example/hook',
  'ftp://public.example/',
  'file:///etc/passwd',
  'gopher://public.example/',
  'javascript:alert(1)',
  'https://',
  'https:///',
  'https://ann@public.example/',
  'https://:secret@public.example/',
  'https://public.example/#part',
  'https://public.example/#',
  'https://public.example:0/',
  'https://public.example:99999/',
  'https://a b/',
  'https://256.1.1.1/',
  'https://[::1',
  'https://[fe80::1%25eth0]/',
])('refuses the form of %j', async (url) => {
  await expect(located(url)).rejects.toMatchObject({ name: 'UrlRefused' });
});

describe('below port 1024 only 80 and 443 are allowed', () => {
  it.each([
    'http://public.example:443/',
    'https://public.example:80/',
    'https://public.example:1024/',
    'https://public.example:8443/',
  ])('%s', async (url) => {
    expect(await located(url)).toEqual(names['public.example']);
  });
  it.each([22, 25, 53, 110, 1023])('not %i', async (port) => {
    await expect(located(`https://public.example:${port}/`)).rejects.toThrow(/port/);
    expect(await located(`https://10.0.0.1:${port}/`, { allow: ['10.0.0.0/8'] })).toEqual(['10.0.0.1']);
  });
});

describe('WEBHOOK_ALLOW', () => {
  it('allows every form of its addresses', async () => {
    const allow = ['127.0.0.0/8', '::1'];
    for (const host of ['127.1', '2130706433', '0x7f.1', '[::1]', '[::ffff:127.0.0.1]', '[64:ff9b::7f00:1]'])
      expect(await located(`http://${host}:8080/`, { allow })).toHaveLength(1);
  });

  it('must contain every private address of a name', async () => {
    expect(await located('http://mixed.example/', { allow: ['127.0.0.0/8'] })).toHaveLength(2);
    await expect(located('http://mixed.example/', { allow: ['10.0.0.0/8'] })).rejects.toThrow(/not public/);
  });

  it('allows plain HTTP where HTTPS is required otherwise', async () => {
    const settings = { allow: ['10.0.0.0/8'], needsHttps: true };
    expect(await located('http://private.example/', settings)).toEqual(['10.0.0.1']);
    expect(await located('https://public.example/', settings)).toHaveLength(2);
    for (const host of ['public.example', 'nowhere.example', '93.184.215.14'])
      await expect(located(`http://${host}/`, settings)).rejects.toThrow(/https/);
    const partly = { allow: ['127.0.0.0/8'], needsHttps: true };
    await expect(located('http://mixed.example/', partly)).rejects.toThrow(/https/);
  });
});
