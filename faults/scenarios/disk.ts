import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, createCluster, Unsupported } from '@kohort/testkit/cluster.ts';
import { createCaller } from '../http.ts';
import { type Row, type Scenario, skipped } from '../report.ts';
import { startService } from '../service.ts';
import { prepare } from '../stage.ts';
import { startTraffic, type Traffic } from '../traffic.ts';
import { rowOf, tryCause } from '../trial.ts';

const mebibyte = Buffer.alloc(1024 * 1024, 1);

/** Fills the disk until not even a small piece fits. */
async function fill(file: string): Promise<void> {
  const handle = await open(file, 'a');
  try {
    for (let piece = mebibyte; piece.length >= 1024; ) {
      try {
        await handle.write(piece);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
        piece = piece.subarray(0, piece.length / 2);
      }
    }
  } finally {
    await handle.close();
  }
}

async function untilFailures(traffic: Traffic, within: number): Promise<boolean> {
  for (const began = performance.now(); performance.now() - began < within; await sleep(100)) {
    if (traffic.seen.refused + traffic.seen.unknown > 5) return true;
  }
  return false;
}

async function fullDisk(what: 'data' | 'wal', name: string, random: () => number): Promise<Row> {
  let cluster: Cluster;
  try {
    cluster = await createCluster({ small: { what, mebibytes: what === 'data' ? 128 : 40 } });
  } catch (error) {
    if (error instanceof Unsupported) return skipped(name, error.message);
    throw error;
  }
  const service = await startService({ databaseUrl: cluster.url });
  const { ledger, token } = await prepare(cluster, service.url, { users: 400, random });
  const traffic = startTraffic({ ledger, port: () => service.port, token: () => token, rate: 200 });
  const reader = createCaller(() => token);
  let reads = 'no reads were tried';
  let readsHeld = true;
  let reached = false;
  const cause = {
    name,
    async strike() {
      const filler = join(cluster.folder, 'filler');
      await fill(filler);
      const again = setInterval(() => void fill(filler).catch(() => undefined), 200);
      reached = await untilFailures(traffic, 30_000);
      await sleep(2_000);
      if (what === 'data') {
        let answered = 0;
        for (let i = 1; i <= 50; i++) {
          const outcome = await reader.call(service.port, { method: 'GET', path: `/api/users/${i + 1}/segments` });
          if (outcome.kind === 'answer' && outcome.status === 200) answered++;
        }
        reads = `${answered} of 50 reads answered meanwhile`;
        readsHeld = answered === 50;
      }
      clearInterval(again);
      await sleep(300);
      await rm(filler);
      // PostgreSQL shuts down when there is no room for its log; its supervisor restarts it.
      if (!(await cluster.isRunning())) await cluster.start();
    },
  };
  const trial = await tryCause({ cluster, service, ledger, traffic, random }, cause);
  const row = rowOf(cause, [trial]);
  reader.close();
  await traffic.stop();
  await service.stop();
  await cluster.stop();
  return {
    ...row,
    seen: `${reached ? '' : 'THE DISK DID NOT GET FULL; '}${row.seen}${what === 'data' ? `; ${reads}` : ''}`,
    held: row.held === true && reached && readsHeld,
  };
}

export const disk: Scenario = async ({ random }) => [
  await fullDisk('data', 'Full disk under the tables', random),
  await fullDisk('wal', 'Full disk under the write-ahead log', random),
];
