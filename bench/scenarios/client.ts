import { join } from 'node:path';
import { runWithin } from '@kohort/testkit/processes.ts';
import { type Contestant, takeTurns } from '../measure.ts';
import { compare, type Findings, micros, rate, rowOf, serverMicros } from '../ratio.ts';
import { createViewerKey } from '../service.ts';
import type { Stage } from '../stage.ts';
import { type Outcome, parseOutcome } from '../wrk.ts';

const CALLERS_SCRIPT = join(import.meta.dirname, '../callers.ts');
const CALLERS = 64;
/** How much longer than the load the process may take before it counts as hanging. */
const MARGIN_S = 20;

/** Callers in one process that share a client: with the reads of one tick batched, and with a call for each read. */
export async function client({ service, database, dataset, options, postgres }: Stage): Promise<Findings> {
  const key = await createViewerKey(service);

  async function ask(batching: 'yes' | 'no', seconds: number): Promise<Outcome> {
    const { code, stdout, stderr } = await runWithin(
      {
        args: ['--conditions=kohort:source', CALLERS_SCRIPT],
        env: {
          NODE_ENV: 'production',
          KOHORT_URL: service.url,
          KOHORT_TOKEN: key,
          USERS: String(dataset.users),
          CALLERS: String(CALLERS),
          SECONDS: String(seconds),
          BATCHING: batching,
        },
      },
      (seconds + MARGIN_S) * 1000,
    );
    if (code !== 0) throw new Error(`the callers ended with ${code}: ${stderr || stdout}`);
    return parseOutcome(stdout);
  }

  const contestant = (name: string, batching: 'yes' | 'no'): Contestant => ({
    name,
    target: () => service,
    connection: { application: 'kohort', database },
    load: (seconds) => ask(batching, seconds),
  });
  const rows = await takeTurns(
    'client',
    [contestant('reads of one tick as one call', 'yes'), contestant('a call for each read', 'no')],
    options,
    postgres,
  );
  const pair = [rowOf(rows, 'reads of one tick as one call'), rowOf(rows, 'a call for each read')] as const;
  return {
    rows,
    ratios: [
      ...compare(
        'client: processor time of the service for a read without batching against one with it',
        [pair[1], pair[0]],
        serverMicros,
        { atLeast: 3 },
      ),
      ...compare('client: the same, database included', [pair[1], pair[0]], micros, {}),
      ...compare('client with batching against without: reads/s', pair, rate, {}),
    ],
    notes: [`client: ${CALLERS} callers in one Node process with @kohort/client; its requests/s are reads/s.`],
  };
}
