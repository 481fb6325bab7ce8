import { EmbeddedError } from '@kohort/embedded/error.ts';
import { type Config, ConfigError } from '../config.ts';
import { sqlState } from '../postgres/errors.ts';

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

/** What the person who starts the service can fix, in a sentence; anything else as it is. */
export function asListenRefusal(error: unknown, { host, port }: Config): unknown {
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return new ConfigError(`Port ${port} on ${host} is taken. Stop what uses it, or set PORT.`);
    case 'EACCES':
      return new ConfigError(`Port ${port} on ${host} may not be used by this user. Set PORT to one above 1023.`);
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new ConfigError(`HOST is "${host}", which is no address of this machine.`);
    default:
      return error;
  }
}

/** What a wrong DATABASE_URL meets: no such user, password or database, or no right to make tables in it. */
export function databaseRefusal(error: unknown): ConfigError | undefined {
  const state = sqlState(error) ?? '';
  if (!state.startsWith('28') && state !== '3D000' && state !== '42501') return undefined;
  return new ConfigError(
    `The database refuses: ${error instanceof Error ? error.message : error}. Check DATABASE_URL.`,
  );
}

/** A sentence where one will do, otherwise a stack. */
export function complain(error: unknown): void {
  const isForPerson = error instanceof ConfigError || error instanceof EmbeddedError;
  const words = isForPerson ? error.message : error instanceof Error ? error.stack : error;
  process.stderr.write(`${words}\n`);
}
