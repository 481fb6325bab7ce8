import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SEGMENTS } from '../dataset.ts';
import { type Contestant, takeTurns } from '../measure.ts';
import { compare, type Findings, medianOf, rate } from '../ratio.ts';
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
  const plain = medianOf(rows, 'plain read');
  return {
    rows,
    ratios: [
      ...compare('ofrep one against the plain read', [medianOf(rows, 'ofrep one'), plain], rate, { atLeast: 0.5 }),
      ...compare('ofrep bulk against the plain read', [medianOf(rows, 'ofrep bulk'), plain], rate, {}),
    ],
    notes: [`ofrep: each bulk call answers all ${SEGMENTS} flags.`],
  };
}
