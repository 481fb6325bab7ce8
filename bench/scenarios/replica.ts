import { join } from 'node:path';
import { eventually } from '@kohort/testkit/eventually.ts';
import { fieldOf } from '@kohort/testkit/http.ts';
import { runWithin } from '@kohort/testkit/processes.ts';
import { SEGMENTS } from '../dataset.ts';
import { type Contestant, takeTurns } from '../measure.ts';
import { compare, type Findings, rate, rowOf } from '../ratio.ts';
import { createViewerKey, type Service } from '../service.ts';
import { plainRead, type Stage } from '../stage.ts';
import { formatCount } from '../table.ts';
import { type Outcome, parseOutcome } from '../wrk.ts';

const LOOKUPS_SCRIPT = join(import.meta.dirname, '../lookups.ts');
/** How much longer than the load the process may take, with the snapshot, before it counts as hanging. */
const MARGIN_S = 120;
const MAX_BYTES_PER_MEMBER = 32;

/** Creates a feed of all segments of the dataset, and waits until it is filled. */
async function createFeed(service: Service): Promise<number> {
  const segments = Array.from({ length: SEGMENTS }, (_, i) => `SEGMENT_${i + 1}`);
  const id = fieldOf(await service.call('POST', '/api/feeds', { name: 'bench', segments }), 'id');
  await eventually(async () => fieldOf(await service.call('GET', `/api/feeds/${id}`), 'state') === 'ready', 600_000);
  return Number(id);
}

/** Lookups in a process that holds every segment in memory, beside reads over the wire. */
export async function replica(stage: Stage): Promise<Findings> {
  const { service, database, dataset, options, postgres } = stage;
  const feed = await createFeed(service);
  const key = await createViewerKey(service);
  const notes: string[] = [];

  async function lookUp(seconds: number): Promise<Outcome> {
    const env = {
      NODE_ENV: 'production',
      KOHORT_URL: service.url,
      KOHORT_TOKEN: key,
      FEED: String(feed),
      USERS: String(dataset.users),
      SEGMENTS: String(SEGMENTS),
      SECONDS: String(seconds),
    };
    const args = ['--expose-gc', '--conditions=kohort:source', LOOKUPS_SCRIPT];
    const { code, stdout, stderr } = await runWithin({ args, env }, (seconds + MARGIN_S) * 1000);
    if (code !== 0) throw new Error(`the lookups ended with ${code}: ${stderr || stdout}`);
    notes[0] = noteOf(stdout, dataset.memberships);
    return parseOutcome(stdout);
  }

  const inMemory: Contestant = {
    name: 'replica in memory',
    target: () => service,
    connection: { application: 'kohort', database },
    load: lookUp,
  };
  const rows = await takeTurns('replica', [inMemory, plainRead(stage, 'plain read')], options, postgres);
  await service.call('DELETE', `/api/feeds/${feed}`);
  return {
    rows,
    ratios: compare(
      'lookups/s of a replica in one process against reads/s of the service',
      [rowOf(rows, 'replica in memory'), rowOf(rows, 'plain read')],
      rate,
      {},
    ),
    notes,
  };
}

function noteOf(output: string, members: number): string {
  const found: unknown = JSON.parse(/^REPLICA (\{.*\})$/m.exec(output)?.[1] ?? '{}');
  const [bytes, seconds] = [Number(fieldOf(found, 'bytes')), Number(fieldOf(found, 'loadSeconds'))];
  const perMember = bytes / members;
  const verdict = perMember <= MAX_BYTES_PER_MEMBER ? '' : `, more than the ${MAX_BYTES_PER_MEMBER} that are allowed`;
  return (
    `replica: ${formatCount(members)} members of ${SEGMENTS} segments in ${(bytes / 1e6).toFixed(1)} MB of heap and array ` +
    `buffers (${perMember.toFixed(1)} bytes each${verdict}), loaded in ${seconds.toFixed(1)} s.`
  );
}
