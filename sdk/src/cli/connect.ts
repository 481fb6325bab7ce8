import { type Client, createClient } from '../client.ts';
import { UsageError } from './exits.ts';

const DEFAULT_URL = 'http://localhost:8000';

/** A client for the service that the environment names. */
export function clientFromEnvironment(env: Readonly<Record<string, string | undefined>>): Client {
  const url = env.KOHORT_URL || DEFAULT_URL;
  if (!URL.canParse(url)) throw new UsageError(`KOHORT_URL is "${url}", which is no URL.`);
  const { KOHORT_TOKEN: token } = env;
  return createClient({ url, ...(token ? { token } : {}) });
}
