import { isIP } from 'node:net';
import type { Role } from '@kohort/contract';

export type Mode = 'evaluation' | 'production';

export interface Config {
  readonly mode: Mode;
  readonly host: string;
  readonly port: number;
  /** Undefined: the embedded PostgreSQL. */
  readonly databaseUrl: string | undefined;
  readonly dataDir: string;
  /** Undefined only in evaluation: drawn once and kept in the data folder. */
  readonly jwtSecret: string | undefined;
  /** Seconds. */
  readonly tokenTtl: number;
  readonly adminPassword: string | undefined;
  readonly signUp: 'open' | 'closed';
  readonly signUpRole: Role;
  readonly logLevel: string;
  /** Addresses or networks of proxies whose `X-Forwarded-For` is believed. */
  readonly trustProxy: readonly string[];
  /** What links begin with; undefined: what each caller reaches us by. */
  readonly publicUrl: { readonly origin: string; readonly pathPrefix: string } | undefined;
  /** Seconds that `/readyz` says 503 while calls are still taken. */
  readonly drainDelay: number;
  /** Days for which ended jobs are kept, and with them what their undo needs. */
  readonly jobRetention: number;
  /** Processes that share the port. */
  readonly workers: number;
}

/** A setting the service cannot start with. Its message is written for the person who starts it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

type Env = Readonly<Record<string, string | undefined>>;

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];
const SIGN_UP_ROLES = ['member', 'viewer', 'editor'] as const;
const PROXY_WORDS = ['loopback', 'linklocal', 'uniquelocal'];
const MIN_SECRET_BYTES = 32;

// Published with the seed's source, or in everybody's examples: a token signed with one of these proves nothing.
const SEED_SECRET = 'jbfj5jbh6hgj5';
const EXAMPLE_SECRETS = new Set([
  'a-string-secret-at-least-256-bits-long',
  'your-256-bit-secret',
  'your-384-bit-secret',
  'your-512-bit-secret',
  'your-super-secret-jwt-token-with-at-least-32-characters-long',
  'super-secret-jwt-token-with-at-least-32-characters-long',
  'this-is-a-very-long-secret-key-for-jwt',
  'secretsecretsecretsecretsecretsecret',
  '01234567890123456789012345678901',
  '0123456789abcdef0123456789abcdef',
  'abcdefghijklmnopqrstuvwxyz012345',
  'abcdefghijklmnopqrstuvwxyz123456',
  'abcdefghijklmnopqrstuvwxyz0123456789',
]);

function isWellKnownSecret(secret: string): boolean {
  const plain = secret.toLowerCase();
  return (
    plain.includes(SEED_SECRET) ||
    EXAMPLE_SECRETS.has(plain) ||
    /^(?:please[-_ ])?(?:change|replace)[-_ ]?(?:me|this|it)|^your[-_ ].*secret|^(?:secret[-_ ]?)+$|super[-_ ]?secret|^example/.test(
      plain,
    )
  );
}

/**
 * Reads the environment, once. Nobody else reads it.
 * @throws ConfigError with a sentence that names the variable and what it takes.
 */
export function readConfig(env: Env): Config {
  const value = (name: string) => (env[name] === undefined || env[name] === '' ? undefined : env[name]);

  function oneOf<const T extends string>(name: string, allowed: readonly T[], fallback: T): T {
    const text = value(name) ?? fallback;
    const found = allowed.find((one) => one === text);
    if (found === undefined) throw new ConfigError(`${name} is "${text}", but takes one of: ${allowed.join(', ')}.`);
    return found;
  }

  function integer(name: string, fallback: number, min: number, max: number): number {
    const text = value(name);
    if (text === undefined) return fallback;
    const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (!(number >= min && number <= max)) {
      throw new ConfigError(`${name} is "${text}", but takes a whole number from ${min} to ${max}.`);
    }
    return number;
  }

  function proxies(): string[] {
    const all = (value('TRUST_PROXY') ?? '')
      .split(',')
      .map((one) => one.trim())
      .filter(Boolean);
    for (const one of all) {
      if (PROXY_WORDS.includes(one)) continue;
      const [address = '', bits, ...rest] = one.split('/');
      const family = isIP(address);
      const isNetwork = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
      if (family === 0 || !isNetwork || rest.length > 0) {
        throw new ConfigError(`TRUST_PROXY holds "${one}", but takes addresses or networks, separated by commas.`);
      }
    }
    return all;
  }

  function publicUrl(): Config['publicUrl'] {
    const text = value('PUBLIC_URL');
    if (text === undefined) return undefined;
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const isPlain = url && /^https?:$/.test(url.protocol) && url.href === url.origin + url.pathname;
    // Node compares paths byte by byte, and a proxy may decode what is percent-encoded.
    if (!isPlain || !/^[A-Za-z0-9/._~-]*$/.test(url.pathname) || url.pathname.includes('//')) {
      throw new ConfigError(
        `PUBLIC_URL is "${text}", but takes an http:// or https:// URL with a path at most, as in https://example.com/kohort.`,
      );
    }
    return { origin: url.origin, pathPrefix: url.pathname.replace(/\/$/, '') };
  }

  const databaseUrl = value('DATABASE_URL');
  if (databaseUrl !== undefined && !/^postgres(ql)?:\/\//.test(databaseUrl)) {
    throw new ConfigError('DATABASE_URL takes a URL that begins with postgres:// or postgresql://.');
  }
  if (databaseUrl !== undefined && !URL.canParse(databaseUrl)) {
    throw new ConfigError('DATABASE_URL cannot be read as a URL; percent-encode special characters of the password.');
  }
  const mode = oneOf('MODE', ['evaluation', 'production'], databaseUrl === undefined ? 'evaluation' : 'production');
  if (mode === 'production' && databaseUrl === undefined) {
    throw new ConfigError('MODE=production needs DATABASE_URL, the URL of your PostgreSQL.');
  }

  const jwtSecret = value('JWT_SECRET');
  if (mode === 'production' && jwtSecret === undefined) {
    throw new ConfigError('MODE=production needs JWT_SECRET, at least 32 random bytes: openssl rand -base64 48');
  }
  if (jwtSecret !== undefined) {
    if (isWellKnownSecret(jwtSecret)) {
      throw new ConfigError(
        'JWT_SECRET is a well-known value; anybody could sign tokens with it. Draw one: openssl rand -base64 48',
      );
    }
    if (Buffer.byteLength(jwtSecret) < MIN_SECRET_BYTES) {
      throw new ConfigError(
        `JWT_SECRET has ${Buffer.byteLength(jwtSecret)} bytes, but needs at least ${MIN_SECRET_BYTES}.`,
      );
    }
  }

  return Object.freeze({
    mode,
    host: value('HOST') ?? (mode === 'evaluation' ? '127.0.0.1' : '0.0.0.0'),
    port: integer('PORT', 8000, 0, 65_535),
    databaseUrl,
    dataDir: value('DATA_DIR') ?? '.data',
    jwtSecret,
    tokenTtl: integer('TOKEN_TTL', 43_200, 1, 31_536_000),
    adminPassword: value('ADMIN_PASSWORD'),
    signUp: oneOf('SIGN_UP', ['open', 'closed'], 'open'),
    signUpRole: oneOf('SIGN_UP_ROLE', SIGN_UP_ROLES, 'member'),
    logLevel: oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
    trustProxy: proxies(),
    publicUrl: publicUrl(),
    drainDelay: integer('DRAIN_DELAY', mode === 'production' ? 5 : 0, 0, 300),
    jobRetention: integer('JOB_RETENTION', 30, 1, 3_650),
    workers: integer('WORKERS', 1, 1, 64),
  });
}
