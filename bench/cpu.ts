import { queuedSecondsOf, readMachineTime, readStats, residentBytesOf, treeOf } from '@kohort/testkit/proc.ts';

const SAMPLE_EVERY_MS = 250;
const MEBIBYTE_BYTES = 2 ** 20;

/** How many descendants a process has. */
export async function countDescendants(root: number): Promise<number> {
  return treeOf(root, await readStats()).size - 1;
}

async function mebibytesOf(pids: Iterable<number>): Promise<number> {
  const sizes = await Promise.all(Array.from(pids, residentBytesOf));
  return sizes.reduce<number>((sum, size = 0) => sum + size, 0) / MEBIBYTE_BYTES;
}

/** MiB that a process and its descendants hold in memory. */
export async function residentNow(root: number): Promise<number> {
  return mebibytesOf(treeOf(root, await readStats()));
}

export interface Usage {
  readonly seconds: number;
  /** Processor seconds; not a number where no server is watched. */
  readonly server: number;
  /** Processor seconds; undefined where the database runs on another machine. */
  readonly database: { readonly own: number; readonly background: number } | undefined;
  /** Seconds that threads of the server, and connections of the contestant, were ready to run but had no processor. */
  readonly queued: { readonly server: number; readonly database: number };
  /** MiB, at the highest. */
  readonly resident: number;
  /** Shares of the machine's time: unused, and given to other machines on the same host. */
  readonly idle: number;
  readonly stolen: number;
}

export interface Watched {
  readonly server: number | undefined;
  readonly postmaster: number | undefined;
  /** The contestant's connections. */
  readonly backends: () => Promise<ReadonlySet<number>>;
}

/** How long each process waited for a processor. */
async function readQueued(pids: Iterable<number>): Promise<Map<number, number>> {
  return new Map(await Promise.all(Array.from(pids, async (pid) => [pid, await queuedSecondsOf(pid)] as const)));
}

function queuedSince(before: ReadonlyMap<number, number>, now: ReadonlyMap<number, number>): number {
  return Array.from(now).reduce((sum, [pid, seconds]) => sum + Math.max(0, seconds - (before.get(pid) ?? 0)), 0);
}

/** Adds up what processes use in small steps, so that processes which end meanwhile are counted. */
class Meter {
  readonly #watched: Watched;
  #server = 0;
  /** By process: only at the end is it known which connections were opened meanwhile. */
  readonly #database = new Map<number, number>();
  own: ReadonlySet<number>;
  tree: ReadonlySet<number> = new Set();
  resident = 0;
  #before: Awaited<ReturnType<typeof readStats>>;

  constructor(watched: Watched, own: ReadonlySet<number>, before: Awaited<ReturnType<typeof readStats>>) {
    this.#watched = watched;
    this.own = own;
    this.#before = before;
    this.tree = watched.server === undefined ? new Set() : treeOf(watched.server, before);
  }

  get used() {
    const used = { server: this.#server, own: 0, background: 0 };
    for (const [pid, seconds] of this.#database) used[this.own.has(pid) ? 'own' : 'background'] += seconds;
    return used;
  }

  async step(): Promise<void> {
    const { server, postmaster } = this.#watched;
    const now = await readStats();
    const spent = (pid: number) => (now.get(pid)?.cpuSeconds ?? 0) - (this.#before.get(pid)?.cpuSeconds ?? 0);
    this.tree = server === undefined ? new Set() : treeOf(server, now);
    for (const pid of this.tree) this.#server += spent(pid);
    if (postmaster !== undefined) {
      for (const pid of treeOf(postmaster, now)) this.#database.set(pid, (this.#database.get(pid) ?? 0) + spent(pid));
    }
    this.#before = now;
    this.resident = Math.max(this.resident, await mebibytesOf(this.tree));
  }
}

/** Starts counting what the processes use. The returned function stops it and reports. */
export async function watch(watched: Watched): Promise<() => Promise<Usage>> {
  const { server, postmaster, backends } = watched;
  const meter = new Meter(watched, await backends(), await readStats());
  const queuedAtFirst = { server: await readQueued(meter.tree), database: await readQueued(meter.own) };
  const atFirst = await readMachineTime();
  const began = performance.now();

  let stepping = Promise.resolve();
  const timer = setInterval(() => {
    stepping = stepping.then(() => meter.step());
  }, SAMPLE_EVERY_MS);

  return async () => {
    clearInterval(timer);
    await stepping;
    meter.own = new Set([...meter.own, ...(await backends())]);
    await meter.step();
    const seconds = (performance.now() - began) / 1000;
    const { used } = meter;
    const atLast = await readMachineTime();
    const share = (kind: 'idle' | 'stolen') =>
      atFirst && atLast ? (atLast[kind] - atFirst[kind]) / (atLast.all - atFirst.all) : Number.NaN;
    return {
      seconds,
      server: server === undefined ? Number.NaN : used.server,
      database: postmaster === undefined ? undefined : { own: used.own, background: used.background },
      queued: {
        server: queuedSince(queuedAtFirst.server, await readQueued(meter.tree)),
        database: queuedSince(queuedAtFirst.database, await readQueued(meter.own)),
      },
      resident: server === undefined ? Number.NaN : meter.resident,
      idle: share('idle'),
      stolen: share('stolen'),
    };
  };
}
