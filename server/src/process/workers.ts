import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { AggregatorRegistry, type Registry, type RegistryContentType } from 'prom-client';

/** What a worker needs beside the environment it inherits. */
export interface WorkerSettings {
  readonly count: number;
  /** Variables set for the workers alone, over the environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Called once, when the first worker serves, with its greeting. */
  readonly onReady: (greeting: readonly string[]) => void;
}

export interface Workers {
  /** Resolves with true after {@link stop}; with false when the first worker cannot even start. */
  readonly ended: Promise<boolean>;
  /** Stops them all, gracefully, each within its own time. */
  stop(): Promise<void>;
}

const restartAfterMs = 250;
const maxRestartAfterMs = 10_000;
/** A worker that dies this soon after its start will do so again; the pauses grow. */
const earlyDeathMs = 5_000;
const joinsFlag = 'join';
const metricsWithinMs = 5_000;

interface Ready {
  readonly kind: 'ready';
  readonly greeting: readonly string[];
}
interface MetricsAsked {
  readonly kind: 'metrics';
  readonly id: number;
}
interface MetricsAnswer extends MetricsAsked {
  readonly text: string;
}

function isMessage<Kind extends string>(message: unknown, kind: Kind): message is { readonly kind: Kind } {
  return typeof message === 'object' && message !== null && 'kind' in message && message.kind === kind;
}

async function answerMetrics(
  metrics: AggregatorRegistry<RegistryContentType>,
  worker: Worker,
  id: number,
): Promise<void> {
  const text = await metrics.clusterMetrics().catch(() => '');
  if (worker.isConnected()) worker.send({ kind: 'metrics', id, text } satisfies MetricsAnswer);
}

async function stopAll(): Promise<void> {
  await Promise.all(
    Object.values(cluster.workers ?? {}).map(async (worker) => {
      if (!worker || worker.isDead()) return;
      const gone = once(worker, 'exit');
      worker.process.kill('SIGTERM');
      await gone;
    }),
  );
}

/** Several processes on one port: starts them, starts another for each that dies, and adds their metrics up. */
export function startWorkers({ count, env, onReady }: WorkerSettings): Workers {
  const metrics = new AggregatorRegistry();
  let stopping = false;
  let serving = false;
  const ready = new Set<Worker>();
  let end: (wasAsked: boolean) => void = () => undefined;
  const ended = new Promise<boolean>((resolve) => {
    end = resolve;
  });

  function fork(pause = restartAfterMs): void {
    cluster.setupPrimary({ args: ready.size > 0 ? [joinsFlag] : [] });
    let worker: Worker;
    try {
      worker = cluster.fork(env);
    } catch (error) {
      // fork() throws when memory is short. Running workers must survive that.
      if (!serving) throw error;
      void forkLater(pause);
      return;
    }
    const started = performance.now();
    worker.on('message', (message: unknown) => {
      if (isMessage(message, 'ready')) {
        ready.add(worker);
        if (serving) return;
        serving = true;
        onReady((message as Ready).greeting);
        // The others follow the first, which has migrated and made the admin; so a fault of the settings is reported once.
        for (let i = 1; i < count; i++) fork();
      } else if (isMessage(message, 'metrics')) {
        void answerMetrics(metrics, worker, (message as MetricsAsked).id);
      }
    });
    const replace = async () => {
      ready.delete(worker);
      if (stopping) return;
      if (!serving) return end(false);
      await forkLater(performance.now() - started < earlyDeathMs ? pause : restartAfterMs);
    };
    worker.on('exit', replace);
    // Where processes or files run out, a worker may not even start, and reports only this.
    worker.on('error', () => void (worker.process.pid === undefined && replace()));
  }

  async function forkLater(wait: number): Promise<void> {
    await sleep(wait);
    if (!stopping) fork(Math.min(2 * wait, maxRestartAfterMs));
  }

  fork();
  return {
    ended,
    async stop() {
      stopping = true;
      await stopAll();
      end(true);
    },
  };
}

/** The port the workers are to share, found free: a socket that is open to sharing would not notice another service. */
export async function claimPort(host: string, port: number): Promise<number> {
  const server = createServer().listen({ host, port });
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : port;
}

// Each worker has a socket of its own on the port, so it can accept the waiting connections before closing it. What the
// supervisor hands out, as node:cluster does by itself, is lost when it comes to a worker that stops. Linux alone can.
export const listenOptions = { reusePort: cluster.isWorker && process.platform === 'linux' };

/** Whether this is a worker, and others serve already: then calls are theirs until this one can answer. */
export function joinsOthers(): boolean {
  return cluster.isWorker && process.argv.includes(joinsFlag);
}

/** In a worker: calls `stop` when the supervisor is gone. */
export function whenOrphaned(stop: () => void): void {
  if (!cluster.worker) return;
  // Has to be set beforehand: node ends a worker at once that loses its supervisor unexpectedly, calls and all.
  cluster.worker.exitedAfterDisconnect = true;
  process.on('disconnect', stop);
}

let counted: Registry[] = [];

/** In a worker: reports to the supervisor that it serves. */
export function reportReady(greeting: readonly string[]): void {
  AggregatorRegistry.setRegistries(counted);
  if (process.connected) process.send?.({ kind: 'ready', greeting } satisfies Ready);
}

let asked = 0;

/** In a worker: the metrics of all workers, summed by the supervisor. */
export function metricsOfAll(own: Registry): () => Promise<string> {
  counted = [own];
  // A worker that joins is not counted while it starts: it would report a database that is away.
  AggregatorRegistry.setRegistries(joinsOthers() ? [] : counted);
  // Making one is what has prom-client answer the supervisor's questions in this process.
  void new AggregatorRegistry();
  return async () => {
    if (!process.connected) return own.metrics();
    const id = ++asked;
    const answered = new Promise<string>((resolve) => {
      const listen = (message: unknown) => {
        if (!isMessage(message, 'metrics') || (message as MetricsAnswer).id !== id) return;
        process.off('message', listen);
        resolve((message as MetricsAnswer).text);
      };
      process.on('message', listen);
      setTimeout(() => {
        process.off('message', listen);
        resolve('');
      }, metricsWithinMs).unref();
    });
    process.send?.({ kind: 'metrics', id } satisfies MetricsAsked);
    return (await answered) || own.metrics();
  };
}
