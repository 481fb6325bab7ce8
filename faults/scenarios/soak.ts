import { setTimeout as sleep } from 'node:timers/promises';
import { createCluster } from '@kohort/testkit/cluster.ts';
import type { Ask } from '@kohort/testkit/http.ts';
import type { Verdict } from '@kohort/testkit/ledger/ledger.ts';
import { residentBytes, say } from '@kohort/testkit/processes.ts';
import { ADMIN_PASSWORD } from '@kohort/testkit/service.ts';
import { createCaller } from '../http.ts';
import { openInspectors } from '../inspector.ts';
import { quantile, type Row, type Scenario } from '../report.ts';
import type { Seen } from '../seen.ts';
import { startService } from '../service.ts';
import { prepare, verifyWhenSettled } from '../stage.ts';
import { startTraffic } from '../traffic.ts';

interface Sample {
  readonly heap: number;
  readonly resident: number;
  readonly handles: number;
  readonly connections: number;
}

const mebibyteBytes = 2 ** 20;

/** Compares the median of the first third with that of the last: it shows creeping growth and ignores fluctuation. */
function growthOf(values: readonly number[]): { first: number; last: number } {
  const third = Math.max(1, Math.floor(values.length / 3));
  return { first: quantile(values.slice(0, third), 0.5), last: quantile(values.slice(-third), 0.5) };
}

/** The other calls: lists, counts, errors, reports, sign-ins, definitions that come and go. */
function restOf(i: number): Ask[] {
  const slug = `soak-${i}`;
  return [
    { method: 'GET', path: '/api/users?limit=100' },
    { method: 'GET', path: `/api/segments/drill-${i % 5}/users?limit=500` },
    { method: 'GET', path: `/api/segments/drill-${i % 5}/count` },
    { method: 'GET', path: `/api/users/${2 + (i % 900)}/history` },
    { method: 'GET', path: `/api/users/ext:nobody-${i}/segments` },
    { method: 'POST', path: '/api/segments', body: { slug, condition: { n: i } } },
    { method: 'PATCH', path: `/api/segments/${slug}`, body: { percentage: i % 100 } },
    { method: 'DELETE', path: `/api/segments/${slug}` },
    { method: 'POST', path: '/api/segments/preview', body: { percentage: 50 } },
    { method: 'PATCH', path: `/api/users/${2 + (i % 900)}`, body: { attributes: { n: i } } },
    { method: 'POST', path: '/api/resolve', body: { users: ['2', '3', `ext:nobody-${i}`] } },
    ...(i % 20 === 0
      ? [{ method: 'POST', path: '/auth/sign-in', body: { username: 'admin', password: ADMIN_PASSWORD } }]
      : []),
    { method: 'GET', path: '/metrics' },
  ];
}

interface Soaked {
  readonly length: number;
  readonly samples: readonly Sample[];
  readonly seen: Seen;
  readonly verdict: Verdict;
  readonly calls: number;
}

function rowOf({ length, samples, seen, verdict: { lost, wrong, unfolded }, calls }: Soaked): Row {
  const heap = growthOf(samples.map((one) => one.heap / mebibyteBytes));
  const resident = growthOf(samples.map((one) => one.resident / mebibyteBytes));
  const handles = growthOf(samples.map((one) => one.handles));
  const connections = Math.max(...samples.map((one) => one.connections));
  const faults = [
    ...(heap.last > heap.first * 1.1 + 3 ? ['THE HEAP GROWS'] : []),
    ...(handles.last > handles.first + 20 ? ['HANDLES GROW'] : []),
    ...(connections > 20 ? [`${connections} CONNECTIONS`] : []),
    ...(lost.length + wrong.length + unfolded > 0 ? [`LOST ${lost.length}, WRONG ${wrong.length}`] : []),
    ...(seen.stale > 0 ? [`${seen.stale} STALE READS`] : []),
    ...(seen.unexpected.length > 0 ? [`UNEXPECTED ${seen.unexpected[0]}`] : []),
  ];
  return {
    scenario: `Soak: ${Math.round(length / 60_000)} min of everything`,
    times: seen.acknowledged + seen.reads + calls,
    promised: 'heap after forced collections, handles and connections stay flat; nothing lost, no stale read',
    seen: [
      ...faults,
      `heap ${heap.first.toFixed(1)} → ${heap.last.toFixed(1)} MiB, resident ${Math.round(resident.first)} → ${Math.round(resident.last)} MiB`,
      `handles ${handles.first} → ${handles.last}, at most ${connections} connections to PostgreSQL`,
      `${lost.length} lost, ${seen.stale} stale`,
    ].join('; '),
    held: faults.length === 0,
  };
}

/** Runs everything at once for minutes; nothing may grow. */
export const soak: Scenario = async ({ random, minutes, quick }) => {
  const length = (quick ? Math.min(minutes, 1) : minutes) * 60_000;
  const cluster = await createCluster();
  const service = await startService({ databaseUrl: cluster.url, nodeArgs: ['--inspect=127.0.0.1:0'] });
  const [inspector] = await openInspectors(service.output());
  if (!inspector) throw new Error('no inspector');
  const { heapAfterCollection, handles: countHandles } = inspector;
  const { ledger, token } = await prepare(cluster, service.url, { users: 1_000, random });
  const traffic = startTraffic({
    ledger,
    port: () => service.port,
    token: () => token,
    rate: 150,
    reads: 0.6,
    sockets: 4,
  });
  const caller = createCaller(() => token, 4);
  let going = true;
  let calls = 0;

  const rest = (async () => {
    for (let i = 0; going; i++) {
      for (const ask of restOf(i)) {
        await caller.call(service.port, ask);
        calls++;
        await sleep(10);
      }
    }
  })();

  async function sample(): Promise<Sample> {
    const heap = await heapAfterCollection();
    const handles = await countHandles();
    const connections = await cluster.connected(async (client) => {
      const { rows } = await client.query<{ n: string }>(
        `SELECT count(*) AS n FROM pg_stat_activity WHERE application_name LIKE 'kohort%'`,
      );
      return Number(rows[0]?.n);
    });
    return { heap, handles, connections, resident: (await residentBytes(service.pid())) ?? 0 };
  }

  const samples: Sample[] = [];
  const began = performance.now();
  // Caches fill up first.
  await sleep(length / 5);
  while (performance.now() - began < length) {
    samples.push(await sample());
    const last = samples.at(-1);
    say(
      `  heap ${Math.round((last?.heap ?? 0) / mebibyteBytes)} MiB, ${last?.handles} handles, ${last?.connections} connections`,
    );
    await sleep(length / 30);
  }
  going = false;
  await rest;
  await traffic.pause();
  const verdict = await verifyWhenSettled(cluster, ledger);
  const seen = traffic.take();
  await traffic.stop();
  caller.close();
  inspector.close();
  await service.stop();
  await cluster.stop();

  return [rowOf({ length, samples, seen, verdict, calls })];
};
