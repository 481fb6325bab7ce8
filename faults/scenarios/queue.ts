import { createCluster } from '@kohort/testkit/cluster.ts';
import { onInstances, type QueueOutcome, type QueueSizes, tryQueue } from '../queue.ts';
import { type Row, type Scenario, seconds } from '../report.ts';

const quickSizes: QueueSizes = { instances: 8, large: 150_000, cancelled: 50_000, others: 14, rows: 2_000 };
/** Five million rows in all. */
const fullSizes: QueueSizes = { instances: 8, large: 3_600_000, cancelled: 1_000_000, others: 16, rows: 25_000 };

export const queue: Scenario = async ({ quick }) => {
  const sizes = quick ? quickSizes : fullSizes;
  const cluster = await createCluster({ settings: { max_connections: '300', max_wal_size: '4GB' } });
  const outcome = await onInstances(cluster.url, sizes.instances, (client, services) =>
    tryQueue(client, services, sizes),
  );
  await cluster.stop();
  return [rowOf(sizes, outcome)];
};

function rowOf({ instances, large, cancelled, others, rows }: QueueSizes, outcome: QueueOutcome): Row {
  const { faults, jobs, tookMs, takenOverMs, owners } = outcome;
  const sum = (large + cancelled + others * rows).toLocaleString('en');
  return {
    scenario: `${instances} instances on one queue: ${jobs} imports of ${sum} rows, the worker of one killed, one cancelled`,
    times: 1,
    promised: 'each is done once, none is lost, the cancelled one has no effect',
    seen: [
      ...faults,
      `${owners} workers were at it`,
      `taken over after ${seconds(takenOverMs)}`,
      `all ended after ${seconds(tookMs)}`,
    ].join(', '),
    held: faults.length === 0,
  };
}
