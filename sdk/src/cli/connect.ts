import { type Client, createClient } from '../client.ts';
import { KohortError, Unreachable } from '../errors.ts';
import { UsageError } from './exits.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_URL = 'http://localhost:8000';

/** A client for the service that the environment names. */
export function clientFromEnvironment(env: Environment): Client {
  const url = env.KOHORT_URL || DEFAULT_URL;
  if (!/^https?:\/\//i.test(url)) {
    throw new UsageError(`KOHORT_URL is "${url}": it has to begin with http:// or https://.`);
  }
  if (!URL.canParse(url)) throw new UsageError(`KOHORT_URL is "${url}", which is not a URL.`);
  const { KOHORT_TOKEN: token } = env;
  return createClient({ url, ...(token ? { token } : {}) });
}

/** A hint for failures that the environment of a command may have caused. */
export function hintFor(error: unknown, { KOHORT_URL, KOHORT_TOKEN }: Environment): string | undefined {
  if (error instanceof Unreachable && !KOHORT_URL)
    return 'If it listens elsewhere, say so: KOHORT_URL=http://HOST:PORT.';
  if (error instanceof KohortError && error.status === 401) {
    return KOHORT_TOKEN
      ? 'KOHORT_TOKEN is refused: sign in again, or use an API key.'
      : 'KOHORT_TOKEN is not set. It takes the token of POST /auth/sign-in, or an API key.';
  }
  return undefined;
}
