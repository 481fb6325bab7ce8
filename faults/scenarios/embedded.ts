import { chown, cp, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '@kohort/testkit/cluster.ts';
import { connected } from '@kohort/testkit/nodes.ts';
import { atEnd, childrenOf, signalPid } from '@kohort/testkit/processes.ts';
import type { Row, Scenario } from '../report.ts';
import { startService } from '../service.ts';
import { prepare, verifyWhenSettled } from '../stage.ts';
import { startTraffic } from '../traffic.ts';
import { rowOf, tryCause } from '../trial.ts';

async function postmasterOf(folder: string): Promise<{ pid: number; port: number }> {
  const lines = (await readFile(join(folder, 'postgres/postmaster.pid'), 'utf8')).split('\n');
  return { pid: Number(lines[0]), port: Number(lines[3]) };
}

function connectedTo(folder: string): Pick<Cluster, 'connected'> {
  return {
    async connected(work) {
      const { port } = await postmasterOf(folder);
      const password = (await readFile(join(folder, 'postgres/kohort-password'), 'utf8')).trim();
      return connected(`postgres://kohort:${password}@127.0.0.1:${port}/kohort`, work);
    },
  };
}

/** Evaluation mode: the service supervises its own PostgreSQL, and the documented backup is a copy of the folder. */
export const embedded: Scenario = async ({ quick, random }) => {
  const folder = await mkdtemp(join(tmpdir(), 'kohort-faults-data-'));
  atEnd(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const service = await startService({ env: { DATA_DIR: join(folder, 'a') } });
  const cluster = connectedTo(join(folder, 'a'));
  const { ledger, token } = await prepare(cluster, service.url, { users: 400, random });
  const traffic = startTraffic({ ledger, port: () => service.port, token: () => token, rate: 100 });
  const scene = { cluster, service, ledger, traffic, random };
  const cause = {
    name: 'Evaluation mode: SIGKILL of the whole PostgreSQL, which the service starts again itself',
    async strike() {
      const { pid } = await postmasterOf(join(folder, 'a'));
      const children = await childrenOf(pid);
      if (!signalPid(pid, 'SIGKILL')) throw new Error('there is nothing to kill');
      for (const one of children) signalPid(one, 'SIGKILL');
    },
  };
  const trials = [];
  for (let i = 0; i < (quick ? 1 : 3); i++) trials.push(await tryCause(scene, cause));
  const rows: Row[] = [rowOf(cause, trials)];

  await traffic.stop();
  await service.stop();
  await sleep(200);
  await cp(join(folder, 'a'), join(folder, 'b'), { recursive: true, preserveTimestamps: true });
  await giveToOwner(join(folder, 'a'), join(folder, 'b'));
  const copy = await startService({ env: { DATA_DIR: join(folder, 'b') } });
  const { lost, wrong, unfolded } = await verifyWhenSettled(connectedTo(join(folder, 'b')), ledger);
  await copy.stop();
  rows.push({
    scenario: 'Evaluation mode: backup by a copy of DATA_DIR, a service started on the copy',
    times: 1,
    promised: 'everything acknowledged is there, the state is the fold of the history',
    seen: `${lost.length} lost, ${wrong.length} wrong, ${unfolded} not the fold`,
    held: lost.length + wrong.length + unfolded === 0,
  });
  return rows;
};

/** Like `cp -a`, which keeps the owners of files. */
async function giveToOwner(from: string, to: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  for (const name of ['', ...(await readdir(from, { recursive: true }))]) {
    const { uid, gid } = await stat(join(from, name));
    await chown(join(to, name), uid, gid);
  }
}
