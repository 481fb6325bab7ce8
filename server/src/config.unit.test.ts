import { describe, expect, it } from 'vitest';
import { ConfigError, readConfig } from './config.ts';

const DATABASE_URL = 'postgres://kohort:secret@db:5432/kohort';
const JWT_SECRET = 'Zk3v0m8b1s5Qx7wT2rYp9nLd4hGc6jUf';
const production = { DATABASE_URL, JWT_SECRET };

function complaint(env: Record<string, string>): string {
  try {
    readConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  throw new Error(`accepted ${JSON.stringify(env)}`);
}

describe('an empty environment', () => {
  it('is evaluation on 127.0.0.1:8000 with the embedded database in .data', () => {
    expect(readConfig({})).toEqual({
      mode: 'evaluation',
      host: '127.0.0.1',
      port: 8000,
      databaseUrl: undefined,
      directDatabaseUrl: undefined,
      readDatabaseUrl: undefined,
      dataDir: '.data',
      jwtSecret: undefined,
      tokenTtl: 43_200,
      adminPassword: undefined,
      signUp: 'open',
      signUpRole: 'member',
      logLevel: 'info',
      trustProxy: [],
      publicUrl: undefined,
      drainDelay: 0,
      jobRetention: 30,
      feedRetention: 7,
      webhookAllow: [],
      workers: 1,
    });
  });

  it('is what empty variables are, too', () => {
    const names = ['PORT', 'HOST', 'MODE', 'DATABASE_URL', 'DATA_DIR', 'JWT_SECRET', 'TOKEN_TTL', 'ADMIN_PASSWORD'];
    const empty = Object.fromEntries([...names, 'SIGN_UP', 'SIGN_UP_ROLE', 'LOG_LEVEL'].map((name) => [name, '']));
    expect(readConfig(empty)).toEqual(readConfig({}));
  });

  it('cannot be changed once read', () => {
    expect(Object.isFrozen(readConfig({}))).toBe(true);
  });
});

describe.each(['DIRECT_DATABASE_URL', 'READ_DATABASE_URL'])('%s', (name) => {
  const other = 'postgres://kohort:secret@other:5432/kohort';

  it('stands beside DATABASE_URL', () => {
    expect(Object.values(readConfig({ ...production, [name]: other }))).toContain(other);
    expect(complaint({ [name]: other })).toMatch(`${name} needs DATABASE_URL`);
    expect(complaint({ ...production, [name]: DATABASE_URL })).toMatch(`${name} is the same as DATABASE_URL`);
  });

  it('is a URL', () => {
    expect(complaint({ ...production, [name]: 'other:5432' })).toMatch(`${name} takes a URL`);
    expect(complaint({ ...production, [name]: 'postgres://a:b#c@d/e' })).toMatch(/percent-encode|takes a URL/);
  });
});

describe('MODE', () => {
  it('is production on 0.0.0.0 as soon as DATABASE_URL is set', () => {
    expect(readConfig(production)).toMatchObject({
      mode: 'production',
      drainDelay: 5,
      host: '0.0.0.0',
      databaseUrl: DATABASE_URL,
    });
  });

  it('may be evaluation on a database of one’s own', () => {
    expect(readConfig({ MODE: 'evaluation', DATABASE_URL })).toMatchObject({
      mode: 'evaluation',
      host: '127.0.0.1',
      databaseUrl: DATABASE_URL,
      jwtSecret: undefined,
    });
  });

  it('is not production without a database', () => {
    expect(complaint({ MODE: 'production', JWT_SECRET })).toMatch(/^MODE=production needs DATABASE_URL/);
  });
});

describe('JWT_SECRET in production', () => {
  it('is needed', () => {
    expect(complaint({ DATABASE_URL })).toMatch(/needs JWT_SECRET/);
    expect(complaint({ DATABASE_URL, JWT_SECRET: '' })).toMatch(/needs JWT_SECRET/);
  });

  it('has at least 32 bytes, not characters', () => {
    expect(complaint({ DATABASE_URL, JWT_SECRET: JWT_SECRET.slice(0, 31) })).toMatch(/JWT_SECRET has 31 bytes/);
    const sixteen = 'äöüßéèêëàáâãñõøå';
    expect(Buffer.byteLength(sixteen)).toBe(32);
    expect(readConfig({ DATABASE_URL, JWT_SECRET: sixteen }).jwtSecret).toBe(sixteen);
  });

  it.each([
    'jbfj5jbh6hgj5',
    'jbfj5jbh6hgj5jbfj5jbh6hgj5jbfj5jbh6hgj5',
    'prefix-jbfj5jbh6hgj5-and-a-long-suffix-behind',
    'your-256-bit-secret',
    'a-string-secret-at-least-256-bits-long',
    'your-super-secret-jwt-token-with-at-least-32-characters-long',
    'YOUR-SUPER-SECRET-JWT-TOKEN-WITH-AT-LEAST-32-CHARACTERS-LONG',
    'change-me-change-me-change-me-change-me',
    'changeme-please-this-is-only-an-example',
    'replace-me-with-32-random-bytes-please',
    'secretsecretsecretsecretsecretsecret',
    '0123456789abcdef0123456789abcdef',
  ])('is not %s', (secret) => {
    expect(complaint({ DATABASE_URL, JWT_SECRET: secret })).toMatch(/^JWT_SECRET .*well-known/);
    expect(complaint({ JWT_SECRET: secret })).toMatch(/^JWT_SECRET .*well-known/);
  });
});

describe('a wrong value is refused with a sentence that names the variable, and no secret', () => {
  it.each<[string, string]>([
    ['PUBLIC_URL', 'example.com'],
    ['PUBLIC_URL', 'ftp://example.com'],
    ['PUBLIC_URL', 'https://user@example.com'],
    ['PUBLIC_URL', 'https://example.com/a?b'],
    ['PUBLIC_URL', 'https://example.com/#a'],
    ['PUBLIC_URL', 'https://example.com//a'],
    ['PUBLIC_URL', 'https://example.com/a%20b'],
    ['DRAIN_DELAY', '1.5'],
    ['DRAIN_DELAY', '301'],
    ['JOB_RETENTION', '0'],
    ['JOB_RETENTION', '3651'],
    ['PORT', 'abc'],
    ['PORT', '80.5'],
    ['PORT', '-1'],
    ['PORT', '65536'],
    ['PORT', '0x50'],
    ['PORT', '8e3'],
    ['PORT', ' 8000'],
    ['PORT', '8000 '],
    ['MODE', 'prod'],
    ['MODE', 'Production'],
    ['DATABASE_URL', 'mysql://db/kohort'],
    ['DATABASE_URL', 'host=db dbname=kohort'],
    ['DATABASE_URL', 'postgres://kohort:p#ss/w@db:port/kohort'],
    ['TOKEN_TTL', '0'],
    ['TOKEN_TTL', '-5'],
    ['TOKEN_TTL', '12h'],
    ['TOKEN_TTL', '1.5'],
    ['TOKEN_TTL', '99999999999'],
    ['SIGN_UP', 'yes'],
    ['SIGN_UP', 'Open'],
    ['SIGN_UP_ROLE', 'admin'],
    ['SIGN_UP_ROLE', 'root'],
    ['LOG_LEVEL', 'verbose'],
    ['LOG_LEVEL', 'INFO'],
    ['WORKERS', '0'],
    ['WORKERS', '65'],
    ['WORKERS', 'all'],
    ['TRUST_PROXY', 'true'],
    ['TRUST_PROXY', '10.0.0.0/33'],
    ['TRUST_PROXY', '10.0.0.1,proxy.example'],
    ['TRUST_PROXY', '10.0.0.0/8/8'],
    ['WEBHOOK_ALLOW', 'loopback'],
    ['WEBHOOK_ALLOW', '127.0.0.0/33'],
    ['WEBHOOK_ALLOW', '10.0.0.0/8,receiver.example'],
    ['WEBHOOK_ALLOW', '127.1/8'],
    ['WEBHOOK_ALLOW', 'fe80::1%eth0'],
    ['WEBHOOK_ALLOW', '0.0.0.0/'],
  ])('%s=%s', (name, value) => {
    const words = complaint({ ...(name === 'DATABASE_URL' && { JWT_SECRET }), [name]: value });
    expect(words).toMatch(new RegExp(`^${name}\\b`));
    expect(words).toMatch(/[.)\d]$/);
    expect(words).not.toMatch(/p#ss/);
    expect(words.split('\n')).toHaveLength(1);
  });

  it('never shows the secret it refuses', () => {
    expect(complaint({ DATABASE_URL, JWT_SECRET: 'tooshort-Zk3v0m8b' })).not.toMatch(/Zk3v0m8b/);
  });
});

describe('right values', () => {
  it.each([
    ['PORT', '0', { port: 0 }],
    ['PUBLIC_URL', 'http://example.com:81', { publicUrl: { origin: 'http://example.com:81', pathPrefix: '' } }],
    ['PUBLIC_URL', 'https://example.com/a/b/', { publicUrl: { origin: 'https://example.com', pathPrefix: '/a/b' } }],
    ['DRAIN_DELAY', '30', { drainDelay: 30 }],
    ['JOB_RETENTION', '7', { jobRetention: 7 }],
    ['PORT', '65535', { port: 65_535 }],
    ['TOKEN_TTL', '60', { tokenTtl: 60 }],
    ['SIGN_UP', 'closed', { signUp: 'closed' }],
    ['SIGN_UP_ROLE', 'editor', { signUpRole: 'editor' }],
    ['LOG_LEVEL', 'silent', { logLevel: 'silent' }],
    ['ADMIN_PASSWORD', ' spaced ', { adminPassword: ' spaced ' }],
    ['HOST', '::1', { host: '::1' }],
    ['DATA_DIR', '/var/lib/kohort', { dataDir: '/var/lib/kohort' }],
    ['TRUST_PROXY', '10.0.0.0/8, ::1,192.0.2.1', { trustProxy: ['10.0.0.0/8', '::1', '192.0.2.1'] }],
    ['TRUST_PROXY', 'loopback', { trustProxy: ['loopback'] }],
    ['WEBHOOK_ALLOW', '127.0.0.0/8, fd00::/8,10.0.0.7', { webhookAllow: ['127.0.0.0/8', 'fd00::/8', '10.0.0.7'] }],
  ])('%s=%s', (name, value, expected) => {
    expect(readConfig({ [name]: value })).toMatchObject(expected);
  });

  it('take both spellings of a PostgreSQL URL', () => {
    const url = 'postgresql://kohort@db/kohort?sslmode=require';
    expect(readConfig({ DATABASE_URL: url, JWT_SECRET }).databaseUrl).toBe(url);
  });
});
