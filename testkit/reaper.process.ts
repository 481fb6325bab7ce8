import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Left } from './reaper.ts';

/** Started by `reaper.ts`: reads what is registered until its parent is gone, then ends what is left, the newest first. */
const GRACE_MS = 5_000;
const LOOK_EVERY_MS = 50;
const left = new Map<number, Left>();

// Ctrl-C at the terminal is meant for our parent.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
for await (const line of createInterface({ input: process.stdin })) {
  const { id, left: one } = JSON.parse(line) as { id: number; left?: Left };
  if (one) left.set(id, one);
  else left.delete(id);
}

function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

async function end(pid: number): Promise<void> {
  send(pid, 'SIGCONT');
  send(pid, 'SIGTERM');
  for (let waited = 0; send(pid, 0) && waited < GRACE_MS; waited += LOOK_EVERY_MS) await sleep(LOOK_EVERY_MS);
  send(pid, 'SIGKILL');
}

function postmasterOf(cluster: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n')[0]);
    return pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** SIGQUIT is PostgreSQL's immediate shutdown; frozen processes take it once they run again. */
async function endCluster(cluster: string): Promise<void> {
  const pid = postmasterOf(cluster);
  if (pid === undefined) return;
  send(pid, 'SIGQUIT');
  await end(pid);
}

const all = [...left.values()].reverse();
await Promise.all(all.map((one) => ('pid' in one ? end(one.pid) : undefined)));
await Promise.all(all.map((one) => ('cluster' in one ? endCluster(one.cluster) : undefined)));
for (const one of all) {
  if ('folder' in one) await rm(one.folder, { recursive: true, force: true, maxRetries: 10 }).catch(() => undefined);
}
