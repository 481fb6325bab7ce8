/** The inspector of Node in another process, over a WebSocket on the loopback. */
export interface Inspector {
  /** Bytes in use on the heap after a garbage collection. */
  heapAfterCollection(): Promise<number>;
  /** Sockets, timers and the like. */
  handles(): Promise<number>;
  /** The value of an expression in that process. */
  evaluate(expression: string): Promise<number>;
  close(): void;
}

const addressForm = /ws:\/\/127\.0\.0\.1:\d+\/[\w-]+/g;

/** Connects to each process that wrote into `output`, including workers. */
export async function openInspectors(output: string): Promise<Inspector[]> {
  const addresses = output.match(addressForm) ?? [];
  if (addresses.length === 0) throw new Error(`no inspector in ${output}`);
  return Promise.all(addresses.map(connectTo));
}

async function connectTo(address: string): Promise<Inspector> {
  const socket = new WebSocket(address);
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', reject);
  });
  const waiting = new Map<number, (result: unknown) => void>();
  let last = 0;
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id?: number; result?: unknown };
    if (id === undefined) return;
    waiting.get(id)?.(result);
    waiting.delete(id);
  });

  function ask(method: string, params: object = {}): Promise<unknown> {
    const id = ++last;
    return new Promise((resolve) => {
      waiting.set(id, resolve);
      socket.send(JSON.stringify({ id, method, params }));
    });
  }

  async function evaluate(expression: string): Promise<number> {
    const answer = (await ask('Runtime.evaluate', { expression, returnByValue: true })) as {
      result: { value: number; description?: string };
      exceptionDetails?: object;
    };
    if (answer.exceptionDetails) throw new Error(answer.result.description);
    return answer.result.value;
  }

  return {
    async heapAfterCollection() {
      // Twice: objects that a finalizer releases are collected by the next collection.
      await ask('HeapProfiler.collectGarbage');
      await ask('HeapProfiler.collectGarbage');
      return evaluate('process.memoryUsage().heapUsed');
    },
    handles: () => evaluate('process.getActiveResourcesInfo().length'),
    evaluate,
    close: () => socket.close(),
  };
}
