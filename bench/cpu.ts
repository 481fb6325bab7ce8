import { readdir, readFile } from 'node:fs/promises';

/** Linux counts processor time in hundredths of a second, on every platform that node runs on. */
const TICKS_A_SECOND = 100;
const SAMPLE_EVERY = 250;

interface Stat {
  readonly parent: number;
  readonly ticks: number;
}

/** Of a line of `/proc/<pid>/stat`: the parent, and the time in user and in system mode. */
export function parseStat(line: string): Stat | undefined {
  // The name of the command, in parentheses, may hold anything; what follows its last one is regular.
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  const [parent, user, system] = [Number(fields[1]), Number(fields[11]), Number(fields[12])];
  return Number.isInteger(parent + user + system) ? { parent, ticks: user + system } : undefined;
}

export interface MachineTime {
  readonly all: number;
  /** What the host gave to other machines while ours would have had use for it. */
  readonly stolen: number;
}

/** Of the first line of `/proc/stat`, which counts the ticks of all cores by what they were spent on. */
export function parseMachineTime(text: string): MachineTime | undefined {
  const fields = /^cpu +(.+)$/m.exec(text)?.[1]?.split(' ').map(Number).slice(0, 8) ?? [];
  const all = fields.reduce((sum, field) => sum + field, 0);
  return fields.length === 8 && Number.isInteger(all) ? { all, stolen: fields[7] ?? 0 } : undefined;
}

async function machineTime(): Promise<MachineTime | undefined> {
  return parseMachineTime(await readFile('/proc/stat', 'utf8').catch(() => ''));
}

async function readStats(): Promise<Map<number, Stat>> {
  const stats = new Map<number, Stat>();
  const entries = await readdir('/proc').catch(() => []);
  await Promise.all(
    entries.map(async (entry) => {
      const pid = Number(entry);
      if (!Number.isInteger(pid)) return;
      // A process may end while we look.
      const stat = parseStat(await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''));
      if (stat) stats.set(pid, stat);
    }),
  );
  return stats;
}

export function descendantsOf(root: number, stats: ReadonlyMap<number, { readonly parent: number }>): Set<number> {
  const children = Map.groupBy(stats.keys(), (pid) => stats.get(pid)?.parent);
  const found = new Set<number>();
  const open = stats.has(root) ? [root] : [];
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    found.add(pid);
    open.push(...(children.get(pid) ?? []));
  }
  return found;
}

/** How many processes a process has under it, at whatever depth. */
export async function countDescendants(root: number): Promise<number> {
  return descendantsOf(root, await readStats()).size - 1;
}

export async function parentOf(pid: number): Promise<number | undefined> {
  return parseStat(await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''))?.parent;
}

async function residentOf(pids: Iterable<number>): Promise<number> {
  const sizes = await Promise.all(
    Array.from(pids, async (pid) => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0) / 1024;
}

/** MiB that a process and all under it hold in memory. */
export async function residentNow(root: number): Promise<number> {
  return residentOf(descendantsOf(root, await readStats()));
}

export interface Usage {
  /** Not a number where no server is watched. */
  readonly server: number;
  /** Undefined where the database runs on another machine. */
  readonly database: number | undefined;
  /** The part of `database` that is no connection of the contestant: checkpoints, the log, autovacuum. */
  readonly background: number | undefined;
  /** MiB, at the highest. */
  readonly resident: number;
  /** The share of the machine's time that went to other machines of its host; not a number where that is not told. */
  readonly stolen: number;
}

export interface Watched {
  readonly server: number | undefined;
  readonly postmaster: number | undefined;
  /** The contestant's connections. */
  readonly backends: () => Promise<ReadonlySet<number>>;
}

/** Begins to count what the processes use; the answer ends it and tells how many cores each kept busy. */
export async function watch({ server, postmaster, backends }: Watched): Promise<() => Promise<Usage>> {
  const began = performance.now();
  let before = await readStats();
  let resident = 0;
  const used = { server: 0, own: 0, background: 0 };
  let own: ReadonlySet<number> = await backends();
  const atFirst = await machineTime();

  // By many small steps, so that what a process did before it ended is counted.
  async function step(): Promise<void> {
    const now = await readStats();
    const delta = (pid: number) => (now.get(pid)?.ticks ?? 0) - (before.get(pid)?.ticks ?? 0);
    const tree = server === undefined ? [] : descendantsOf(server, now);
    for (const pid of tree) used.server += delta(pid);
    if (postmaster !== undefined) {
      for (const pid of descendantsOf(postmaster, now)) used[own.has(pid) ? 'own' : 'background'] += delta(pid);
    }
    before = now;
    resident = Math.max(resident, await residentOf(tree));
  }

  let stepping = Promise.resolve();
  const timer = setInterval(() => {
    stepping = stepping.then(step);
  }, SAMPLE_EVERY);

  return async () => {
    clearInterval(timer);
    await stepping;
    own = new Set([...own, ...(await backends())]);
    await step();
    const atLast = await machineTime();
    const cores = (ticks: number) => ticks / TICKS_A_SECOND / ((performance.now() - began) / 1000);
    return {
      server: server === undefined ? Number.NaN : cores(used.server),
      database: postmaster === undefined ? undefined : cores(used.own + used.background),
      background: postmaster === undefined ? undefined : cores(used.background),
      resident: server === undefined ? Number.NaN : resident,
      stolen: atFirst && atLast ? (atLast.stolen - atFirst.stolen) / (atLast.all - atFirst.all) : Number.NaN,
    };
  };
}
