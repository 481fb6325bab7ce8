import { setTimeout as sleep } from 'node:timers/promises';
import { createCluster } from '@kohort/testkit/cluster.ts';
import type { Scenario } from '../report.ts';
import { startService } from '../service.ts';
import { prepare, verifyWhenSettled } from '../stage.ts';
import { startTraffic } from '../traffic.ts';

/** A kill of PostgreSQL, configured to acknowledge before it has written: a harness that sees no loss here is blind. */
export const loss: Scenario = async ({ random }) => {
  const cluster = await createCluster({
    // Long pauses of the process that writes the log after commits.
    settings: {
      synchronous_commit: 'off',
      wal_writer_delay: '10s',
      wal_writer_flush_after: '1GB',
      wal_buffers: '32MB',
    },
  });
  const service = await startService({ databaseUrl: cluster.url });
  const { ledger, token } = await prepare(cluster, service.url, { users: 400, random });
  await cluster.connected((client) => client.query('CHECKPOINT'));
  const traffic = startTraffic({ ledger, port: () => service.port, token: () => token, rate: 200 });
  await sleep(3_000);
  await cluster.kill();
  await cluster.start();
  await traffic.untilAcknowledged(20_000);
  await traffic.pause();
  const { lost } = await verifyWhenSettled(cluster, ledger);
  const { acknowledged } = traffic.take();
  await traffic.stop();
  await service.stop();
  await cluster.stop();
  return [
    {
      scenario: 'The harness sees loss: synchronous_commit=off, SIGKILL of the whole PostgreSQL',
      times: 1,
      promised: 'some loss is seen',
      seen: `${acknowledged} acknowledged, ${lost.length} pairs and users not as acknowledged (${lost[0] ?? 'none'})`,
      held: lost.length > 0,
    },
  ];
};
