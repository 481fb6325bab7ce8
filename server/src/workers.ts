import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { AggregatorRegistry, type Registry } from 'prom-client';

/** What a worker needs beside the environment it inherits. */
export interface WorkerSettings {
  readonly count: number;
  /** Variables set for the workers alone, over the environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Told once, when the first worker serves, what it has to say. */
  readonly onReady: (greeting: readonly string[]) => void;
}

export interface Workers {
  /** Resolves with true when told to stop; false when the first worker cannot even start. */
  readonly ended: Promise<boolean>;
  /** Stops them all, gracefully, each within its own time. */
  stop(): Promise<void>;
}

const RESTART_AFTER = 250;
const METRICS_WITHIN = 5_000;

interface Ready {
  readonly kind: 'ready';
  readonly greeting: readonly string[];
}
interface MetricsAsked {
  readonly kind: 'metrics';
  readonly id: number;
}
interface MetricsTold extends MetricsAsked {
  readonly text: string;
}

function isMessage<Kind extends string>(message: unknown, kind: Kind): message is { readonly kind: Kind } {
  return typeof message === 'object' && message !== null && 'kind' in message && message.kind === kind;
}

/** Several processes on one port: starts them, starts another for each that dies, and adds their metrics up. */
export function startWorkers({ count, env, onReady }: WorkerSettings): Workers {
  const metrics = new AggregatorRegistry();
  let stopping = false;
  let serving = false;
  let end: (told: boolean) => void = () => undefined;
  const ended = new Promise<boolean>((resolve) => {
    end = resolve;
  });

  function fork(): void {
    const worker = cluster.fork(env);
    worker.on('message', (message: unknown) => {
      if (isMessage(message, 'ready') && !serving) {
        serving = true;
        onReady((message as Ready).greeting);
        // The others follow the first, who has seen to the schema and the admin; a fault of the settings is told once.
        for (let i = 1; i < count; i++) fork();
      } else if (isMessage(message, 'metrics')) {
        void tellMetrics(worker, (message as MetricsAsked).id);
      }
    });
    worker.on('exit', async () => {
      if (stopping) return;
      if (!serving) return end(false);
      // A pause, so that one that cannot live does not spin.
      await sleep(RESTART_AFTER);
      if (!stopping) fork();
    });
  }

  async function tellMetrics(worker: Worker, id: number): Promise<void> {
    const text = await metrics.clusterMetrics().catch(() => '');
    if (worker.isConnected()) worker.send({ kind: 'metrics', id, text } satisfies MetricsTold);
  }

  fork();
  return {
    ended,
    async stop() {
      stopping = true;
      await Promise.all(
        Object.values(cluster.workers ?? {}).map(async (worker) => {
          if (!worker || worker.isDead()) return;
          const gone = once(worker, 'exit');
          worker.process.kill('SIGTERM');
          await gone;
        }),
      );
      end(true);
    },
  };
}

/** In a worker: tells the supervisor that it serves. */
export function reportReady(greeting: readonly string[]): void {
  process.send?.({ kind: 'ready', greeting } satisfies Ready);
}

let asked = 0;

/** In a worker: the metrics of all workers, summed by the supervisor. */
export function metricsOfAll(own: Registry): () => Promise<string> {
  AggregatorRegistry.setRegistries([own]);
  // Making one is what has prom-client answer the supervisor's questions in this process.
  void new AggregatorRegistry();
  return async () => {
    const id = ++asked;
    const told = new Promise<string>((resolve) => {
      const listen = (message: unknown) => {
        if (!isMessage(message, 'metrics') || (message as MetricsTold).id !== id) return;
        process.off('message', listen);
        resolve((message as MetricsTold).text);
      };
      process.on('message', listen);
      setTimeout(() => {
        process.off('message', listen);
        resolve('');
      }, METRICS_WITHIN).unref();
    });
    process.send?.({ kind: 'metrics', id } satisfies MetricsAsked);
    return (await told) || own.metrics();
  };
}
