import { readdir, readFile } from 'node:fs/promises';

/** Linux counts processor time in hundredths of a second on every platform that node runs on. */
const tickS = 1 / 100;

/** One process as Linux lists it. */
export interface ProcessStat {
  readonly parent: number;
  /** Processor time of all its threads so far, in user and in system mode. */
  readonly cpuSeconds: number;
}

/** A file of a process, or nothing if the process has ended. */
function readOf(pid: number, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
}

/** Parses `/proc/<pid>/stat`. */
export function parseStat(line: string): ProcessStat | undefined {
  // The name of the command, in parentheses, may hold anything; the fields after the last parenthesis are regular.
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  const [parent, user, system] = [Number(fields[1]), Number(fields[11]), Number(fields[12])];
  return Number.isInteger(parent + user + system) ? { parent, cpuSeconds: (user + system) * tickS } : undefined;
}

export async function statOf(pid: number): Promise<ProcessStat | undefined> {
  return parseStat(await readOf(pid, 'stat'));
}

async function numbersIn(folder: string): Promise<number[]> {
  const entries = await readdir(folder).catch(() => []);
  return entries.map(Number).filter(Number.isInteger);
}

/** Lists all processes. */
export async function readStats(): Promise<Map<number, ProcessStat>> {
  const stats = new Map<number, ProcessStat>();
  await Promise.all(
    (await numbersIn('/proc')).map(async (pid) => {
      const stat = await statOf(pid);
      if (stat) stats.set(pid, stat);
    }),
  );
  return stats;
}

/** The process and all its descendants. */
export function treeOf(root: number, stats: ReadonlyMap<number, { readonly parent: number }>): Set<number> {
  const children = Map.groupBy(stats.keys(), (pid) => stats.get(pid)?.parent);
  const found = new Set<number>();
  const open = stats.has(root) ? [root] : [];
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    found.add(pid);
    open.push(...(children.get(pid) ?? []));
  }
  return found;
}

/** Seconds that the threads of a process were ready to run and waited for a processor; 0 where the system does not count them. */
export async function queuedSecondsOf(pid: number): Promise<number> {
  const threads = await numbersIn(`/proc/${pid}/task`);
  const waits = await Promise.all(
    threads.map(async (thread) => Number((await readOf(pid, `task/${thread}/schedstat`)).split(' ')[1] ?? 0)),
  );
  return waits.reduce((sum, nanoseconds) => sum + nanoseconds, 0) / 1e9;
}

/** Bytes that a process holds in memory; undefined if it has ended. */
export async function residentBytesOf(pid: number): Promise<number | undefined> {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(await readOf(pid, 'status'))?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

/** How all processors together have spent their time so far, in any unit. */
export interface MachineTime {
  readonly all: number;
  readonly idle: number;
  /** Time that the host gave to other machines although this one could have used it. */
  readonly stolen: number;
}

/** Parses `/proc/stat`, whose first line counts the ticks of all processors. */
export function parseMachineTime(text: string): MachineTime | undefined {
  const fields = /^cpu +(.+)$/m.exec(text)?.[1]?.split(' ').map(Number).slice(0, 8) ?? [];
  const all = fields.reduce((sum, field) => sum + field, 0);
  const [, , , idle = 0, forDisk = 0, , , stolen = 0] = fields;
  return fields.length === 8 && Number.isInteger(all) ? { all, idle: idle + forDisk, stolen } : undefined;
}

export async function readMachineTime(): Promise<MachineTime | undefined> {
  return parseMachineTime(await readFile('/proc/stat', 'utf8').catch(() => ''));
}
