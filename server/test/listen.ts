import { createService, type Service, type ServiceOptions } from '../src/app.ts';
import type { Tracker } from '../src/http/connections/tracker.ts';
import type { Database } from '../src/postgres/database.ts';
import { patientConnections, testConfig } from './config.ts';

export const SECRET = 'what the tests of the wire sign their tokens with';

export interface Listening {
  readonly port: number;
  readonly service: Service;
  readonly db: Database;
  readonly tracker: Tracker;
  stop(): Promise<void>;
}

/** A whole service behind a real socket. */
export async function listen(
  url: string,
  {
    mode = 'evaluation',
    env = {},
    ...options
  }: ServiceOptions & { mode?: 'evaluation' | 'production'; env?: Record<string, string> } = {},
): Promise<Listening> {
  const config = testConfig(url, { secret: SECRET, mode, env });
  const service = await createService(config, { connections: patientConnections, ...options });
  await service.app.listen({ host: '127.0.0.1', port: 0 });
  await service.connect(config.databaseUrl ?? url);
  const address = service.app.server.address();
  if (typeof address !== 'object' || !address) throw new Error('no address');
  return { port: address.port, service, db: service.db, tracker: service.tracker, stop: () => service.stop() };
}

/** Two instances on one database, stopped when `work` has ended. */
export async function withTwo<T>(
  start: typeof listen,
  url: string,
  work: (instances: readonly [Listening, Listening]) => Promise<T>,
): Promise<T> {
  const instances = [await start(url), await start(url)] as const;
  try {
    return await work(instances);
  } finally {
    await Promise.all(instances.map((one) => one.stop()));
  }
}
