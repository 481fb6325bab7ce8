import { setTimeout as sleep } from 'node:timers/promises';
import { createCluster } from '@kohort/testkit/cluster.ts';
import { say } from '@kohort/testkit/processes.ts';
import { type Scenario, seconds } from '../report.ts';
import { startService } from '../service.ts';
import { prepare, verifyWhenSettled } from '../stage.ts';
import { startTraffic } from '../traffic.ts';

/** How long a client avoids an instance that refused it. */
const avoidMs = 100;

/** Two instances are replaced in turn while clients, which know both, keep calling. */
export const rolling: Scenario = async ({ quick, random }) => {
  const [rate, rounds] = quick ? [100, 1] : [500, 2];
  const cluster = await createCluster();
  const instances = [
    await startService({ databaseUrl: cluster.url }),
    await startService({ databaseUrl: cluster.url }),
  ] as const;
  // These clients repeat calls that met the end of a kept connection. Calls that are not idempotent need a key for that.
  const { ledger, token } = await prepare(cluster, instances[0].url, { users: 600, random, keyed: 1 });
  const avoided = new Map<number, number>();
  let turn = 0;
  const port = () => {
    const now = performance.now();
    const first = instances[turn++ % 2] ?? instances[0];
    const other = instances[turn % 2] ?? instances[1];
    return (avoided.get(first.port) ?? 0) > now ? other.port : first.port;
  };
  const onFailure = (failed: number) => void avoided.set(failed, performance.now() + avoidMs);
  const traffic = startTraffic({ ledger, port, token: () => token, rate, reads: 0.5, onFailure, retryKept: true });
  await sleep(1_000);
  const codes = [];
  for (let round = 1; round <= rounds; round++) {
    for (const instance of instances) {
      say(`  round ${round}: the instance on port ${instance.port}`);
      codes.push(await instance.replace());
      await sleep(700);
    }
  }
  await traffic.pause();
  const { lost, wrong, unfolded } = await verifyWhenSettled(cluster, ledger);
  const seen = traffic.take();
  await traffic.stop();
  for (const instance of instances) await instance.stop();
  await cluster.stop();
  const faults = [
    ...(lost.length > 0 ? [`LOST ${lost.length} (${lost[0]})`] : []),
    ...(wrong.length > 0 ? [`WRONG ${wrong.length} (${wrong[0]})`] : []),
    ...(unfolded > 0 ? [`${unfolded} NOT THE FOLD`] : []),
    ...(seen.lost > 0
      ? [`${seen.lost} CALLS BROKE (${[...seen.breaks].map(([why, times]) => `${times} × ${why}`).join(', ')})`]
      : []),
    ...(seen.stale > 0 ? [`${seen.stale} STALE READS`] : []),
    ...(seen.unexpected.length > 0 ? [`UNEXPECTED ${seen.unexpected.length} (${seen.unexpected[0]})`] : []),
    ...(codes.some((code) => code !== 0) ? [`EXIT CODES ${codes.join(', ')}`] : []),
    ...instances.flatMap(({ crashes }) => crashes.map((words) => `ENDED BY ITSELF (${words})`)),
  ];
  return [
    {
      scenario: `Rolling restart of two instances under ${rate} requests/s`,
      times: codes.length,
      promised:
        'nothing acknowledged lost, no stale read; clients see refused connections or 503, nothing else (a call that meets the end of a kept connection is sent once more, as HTTP clients do); exit code 0',
      seen: [
        ...faults,
        `${seen.acknowledged} writes acknowledged, ${lost.length} lost; ${seen.reads} reads, ${seen.stale} stale`,
        `${seen.unreachable} connections refused, ${seen.refused} answered 503, ${seen.again} sent again as a kept connection ended, ${seen.lost} broken`,
        `slowest answer ${seconds(seen.slowest)}`,
      ].join('; '),
      held: faults.length === 0,
    },
  ];
};
