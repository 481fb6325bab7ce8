import { databaseEnv } from '@kohort/testkit/pooler.ts';
import { type Config, readConfig } from '../src/config.ts';

export const ADMIN_PASSWORD = 'correct horse battery';

/** A statement waits for a connection as long as it takes: on a busy machine that says nothing about the code. */
export const patientConnections = { connectWithinMs: 60_000, probeWithinMs: 60_000 };

export interface TestSettings {
  readonly secret: string;
  readonly mode?: 'evaluation' | 'production';
  readonly env?: Readonly<Record<string, string>>;
}

/** The configuration of a service inside a test, on the database at `url`. */
export function testConfig(
  url: string,
  { secret, mode = 'evaluation', env = {} }: TestSettings,
): Config & { jwtSecret: string } {
  const config = readConfig({
    MODE: mode,
    ...databaseEnv(url),
    JWT_SECRET: secret,
    ADMIN_PASSWORD,
    DRAIN_DELAY: '0',
    LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? 'silent',
    ...env,
  });
  return { ...config, jwtSecret: config.jwtSecret ?? secret };
}
