import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SEGMENTS } from '../dataset.ts';
import { type Contestant, takeTurns } from '../measure.ts';
import { compare, type Findings, micros, rate, rowOf } from '../ratio.ts';
import { createViewerKey } from '../service.ts';
import { plainRead, type Stage } from '../stage.ts';
import { drive } from '../wrk.ts';

/** Segments as flags, asked with a viewer's key: one flag of a user, and all flags of a user. */
export async function ofrep(stage: Stage): Promise<Findings> {
  const { service, database, dataset, options, postgres, folder } = stage;
  const tokens = join(folder, 'viewer-key');
  await writeFile(tokens, `${await createViewerKey(service)}\n`, { mode: 0o600 });
  const evaluation = (name: string, flags: number): Contestant => ({
    name,
    target: () => service,
    connection: { application: 'kohort', database },
    load: (seconds) =>
      drive({
        script: 'ofrep',
        url: service.url,
        seconds,
        connections: options.connections,
        env: { USERS: dataset.users, FLAGS: flags, TOKENS: tokens },
      }),
  });
  const rows = await takeTurns(
    'ofrep',
    [plainRead(stage, 'plain read'), evaluation('ofrep one', SEGMENTS), evaluation('ofrep bulk', 0)],
    options,
    postgres,
  );
  const plain = rowOf(rows, 'plain read');
  const one = rowOf(rows, 'ofrep one');
  return {
    rows,
    ratios: [
      ...compare('ofrep one against the plain read: processor time', [one, plain], micros, { atMost: 1.3 }),
      ...compare('ofrep one against the plain read: requests/s', [one, plain], rate, { atLeast: 0.5 }),
      ...compare('ofrep bulk against the plain read: processor time', [rowOf(rows, 'ofrep bulk'), plain], micros, {}),
    ],
    notes: [`ofrep: each bulk call answers all ${SEGMENTS} flags.`],
  };
}
