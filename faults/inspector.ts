/** Node's own inspector of another process of ours, over a WebSocket on the loopback. */
export interface Inspector {
  /** Bytes in use on the heap after everything that nobody holds was collected. */
  heapAfterCollection(): Promise<number>;
  /** Sockets, timers and the like. */
  handles(): Promise<number>;
  /** What an expression comes to in that process. */
  evaluate(expression: string): Promise<number>;
  close(): void;
}

const addressForm = /ws:\/\/127\.0\.0\.1:\d+\/[\w-]+/g;

/** Of each process that wrote into `output`, its workers' too. */
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
      result: { value: number };
    };
    return answer.result.value;
  }

  return {
    async heapAfterCollection() {
      // Twice: what a finalizer lets go of is collected by the next one.
      await ask('HeapProfiler.collectGarbage');
      await ask('HeapProfiler.collectGarbage');
      return evaluate('process.memoryUsage().heapUsed');
    },
    handles: () => evaluate('process.getActiveResourcesInfo().length'),
    evaluate,
    close: () => socket.close(),
  };
}
