import { isIP } from 'node:net';
import type { Role } from '@kohort/contract';

export type Mode = 'evaluation' | 'production';

export interface Config {
  readonly mode: Mode;
  readonly host: string;
  readonly port: number;
  /** Undefined: the embedded PostgreSQL. */
  readonly databaseUrl: string | undefined;
  /** PostgreSQL itself, if `databaseUrl` goes through a pooler. */
  readonly directDatabaseUrl: string | undefined;
  /** A streaming replica. */
  readonly readDatabaseUrl: string | undefined;
  readonly dataDir: string;
  /** Undefined only in evaluation mode, where it is generated once and kept in the data folder. */
  readonly jwtSecret: string | undefined;
  /** Seconds. */
  readonly tokenTtl: number;
  readonly adminPassword: string | undefined;
  readonly signUp: 'open' | 'closed';
  readonly signUpRole: Role;
  readonly logLevel: string;
  /** Addresses or networks of proxies whose `X-Forwarded-For`, `-Host` and `-Proto` are trusted. */
  readonly trustProxy: readonly string[];
  /** The base of links; undefined: the address that each caller used. */
  readonly publicUrl: { readonly origin: string; readonly pathPrefix: string } | undefined;
  /** Seconds during which `/readyz` answers 503 while calls are still accepted. */
  readonly drainDelay: number;
  /** Days for which ended jobs are kept, with the data that their undo needs. */
  readonly jobRetention: number;
  /** Networks, in CIDR notation, that webhooks may reach although they are not public. */
  readonly webhookAllow: readonly string[];
  /** Days for which published changes of feeds are kept. */
  readonly feedRetention: number;
  /** Processes that share the port. */
  readonly workers: number;
}

/** A setting with which the service cannot start. The message is for the operator. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

type Env = Readonly<Record<string, string | undefined>>;

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];
const SIGN_UP_ROLES = ['member', 'viewer', 'editor'] as const;
const PROXY_WORDS = ['loopback', 'linklocal', 'uniquelocal'];
const MIN_SECRET_BYTES = 32;

// Published with the seed's source or in common examples: a token signed with one of these proves nothing.
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

function value(env: Env, name: string): string | undefined {
  return env[name] === '' ? undefined : env[name];
}

function oneOf<const T extends string>(env: Env, name: string, allowed: readonly T[], fallback: T): T {
  const text = value(env, name) ?? fallback;
  const found = allowed.find((one) => one === text);
  if (found === undefined) throw new ConfigError(`${name} is "${text}", but takes one of: ${allowed.join(', ')}.`);
  return found;
}

function integer(env: Env, name: string, fallback: number, min: number, max: number): number {
  const text = value(env, name);
  if (text === undefined) return fallback;
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= min && number <= max)) {
    throw new ConfigError(`${name} is "${text}", but takes a whole number from ${min} to ${max}.`);
  }
  return number;
}

/** Addresses and networks, separated by commas, or one of the words. */
function networksOf(env: Env, name: string, words: readonly string[] = []): string[] {
  const all = (value(env, name) ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean);
  for (const one of all) {
    if (words.includes(one)) continue;
    const [address = '', bits, ...rest] = one.split('/');
    const family = isIP(address);
    const isNetwork = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
    if (family === 0 || address.includes('%') || !isNetwork || rest.length > 0) {
      throw new ConfigError(
        `${name} holds "${one}", but takes addresses or networks separated by commas, such as 10.0.0.0/8.`,
      );
    }
  }
  return all;
}

function publicUrlOf(env: Env): Config['publicUrl'] {
  const text = value(env, 'PUBLIC_URL');
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

function databaseUrlOf(env: Env, name: string): string | undefined {
  const url = value(env, name);
  if (url !== undefined && !/^postgres(ql)?:\/\//.test(url)) {
    throw new ConfigError(`${name} takes a URL that begins with postgres:// or postgresql://.`);
  }
  if (url !== undefined && !URL.canParse(url)) {
    throw new ConfigError(`${name} cannot be read as a URL; percent-encode special characters of the password.`);
  }
  return url;
}

/** The URLs of the database. `DIRECT_DATABASE_URL` and `READ_DATABASE_URL` lead to the one that `DATABASE_URL` names. */
function databasesOf(env: Env): Pick<Config, 'databaseUrl' | 'directDatabaseUrl' | 'readDatabaseUrl'> {
  const databaseUrl = databaseUrlOf(env, 'DATABASE_URL');
  const others = { DIRECT_DATABASE_URL: '', READ_DATABASE_URL: '' };
  for (const name of ['DIRECT_DATABASE_URL', 'READ_DATABASE_URL'] as const) {
    const url = databaseUrlOf(env, name);
    if (url === undefined) continue;
    if (databaseUrl === undefined) throw new ConfigError(`${name} needs DATABASE_URL beside it.`);
    if (url === databaseUrl) throw new ConfigError(`${name} is the same as DATABASE_URL. Leave it out.`);
    others[name] = url;
  }
  return {
    databaseUrl,
    directDatabaseUrl: others.DIRECT_DATABASE_URL || undefined,
    readDatabaseUrl: others.READ_DATABASE_URL || undefined,
  };
}

function jwtSecretOf(env: Env, mode: Mode): string | undefined {
  const secret = value(env, 'JWT_SECRET');
  if (secret === undefined) {
    if (mode === 'evaluation') return undefined;
    throw new ConfigError('MODE=production needs JWT_SECRET, at least 32 random bytes: openssl rand -base64 48');
  }
  if (isWellKnownSecret(secret)) {
    throw new ConfigError(
      'JWT_SECRET is a well-known value; anybody could sign tokens with it. Draw one: openssl rand -base64 48',
    );
  }
  const bytes = Buffer.byteLength(secret);
  if (bytes < MIN_SECRET_BYTES) {
    throw new ConfigError(`JWT_SECRET has ${bytes} bytes, but needs at least ${MIN_SECRET_BYTES}.`);
  }
  return secret;
}

/**
 * Reads the environment, once. No other code reads it.
 * @throws ConfigError with a sentence that names the variable and its valid values.
 */
export function readConfig(env: Env): Config {
  const databases = databasesOf(env);
  const { databaseUrl } = databases;
  const usual = databaseUrl === undefined ? 'evaluation' : 'production';
  const mode = oneOf(env, 'MODE', ['evaluation', 'production'], usual);
  if (mode === 'production' && databaseUrl === undefined) {
    throw new ConfigError('MODE=production needs DATABASE_URL, the URL of your PostgreSQL.');
  }
  const jwtSecret = jwtSecretOf(env, mode);
  return Object.freeze({
    mode,
    host: value(env, 'HOST') ?? (mode === 'evaluation' ? '127.0.0.1' : '0.0.0.0'),
    port: integer(env, 'PORT', 8000, 0, 65_535),
    ...databases,
    dataDir: value(env, 'DATA_DIR') ?? '.data',
    jwtSecret,
    tokenTtl: integer(env, 'TOKEN_TTL', 43_200, 1, 31_536_000),
    adminPassword: value(env, 'ADMIN_PASSWORD'),
    signUp: oneOf(env, 'SIGN_UP', ['open', 'closed'], 'open'),
    signUpRole: oneOf(env, 'SIGN_UP_ROLE', SIGN_UP_ROLES, 'member'),
    logLevel: oneOf(env, 'LOG_LEVEL', LOG_LEVELS, 'info'),
    trustProxy: networksOf(env, 'TRUST_PROXY', PROXY_WORDS),
    publicUrl: publicUrlOf(env),
    drainDelay: integer(env, 'DRAIN_DELAY', mode === 'production' ? 5 : 0, 0, 300),
    jobRetention: integer(env, 'JOB_RETENTION', 30, 1, 3_650),
    feedRetention: integer(env, 'FEED_RETENTION', 7, 1, 365),
    webhookAllow: networksOf(env, 'WEBHOOK_ALLOW'),
    workers: integer(env, 'WORKERS', 1, 1, 64),
  });
}
