import { lookup, NOTFOUND, Resolver } from 'node:dns/promises';
import { AtMost } from '../../concurrency/at-most.ts';

/** Resolves a host name to its current addresses. Rejects if there are none. */
export type ResolveName = (host: string, signal: AbortSignal) => Promise<readonly string[]>;

const serverTimeoutMs = 2_000;
const tries = 2;
/** A look-up by the system occupies a thread of the pool that also hashes passwords, and cannot be cancelled. */
const systemLookups = new AtMost({
  atOnce: 1,
  waiting: 100,
  refusal: 'Too many host names are being resolved.',
  retryAfterSeconds: 5,
});

/** Asks DNS first, in the event loop, then the system, which also reads the hosts file and search domains. */
export const resolveName: ResolveName = async (host, signal) => {
  const name = host.replace(/\.$/, '');
  if (name === 'localhost' || name.endsWith('.localhost')) return ['127.0.0.1'];
  // `.invalid` is reserved for names that never exist (RFC 6761), so no look-up is needed.
  if (name === 'invalid' || name.endsWith('.invalid'))
    throw Object.assign(new Error('no such name'), { code: NOTFOUND });
  const resolver = new Resolver({ timeout: serverTimeoutMs, tries });
  const cancel = () => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    signal.throwIfAborted();
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    return found.length > 0 ? found : await bySystem(host, signal);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
};

async function bySystem(host: string, signal: AbortSignal): Promise<string[]> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  const found = systemLookups.run(async () => {
    signal.throwIfAborted();
    return lookup(host, { all: true });
  });
  return (await Promise.race([found, aborted])).map(({ address }) => address);
}
