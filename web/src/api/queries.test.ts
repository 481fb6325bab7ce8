import { QueryObserver } from '@tanstack/react-query';
import { describe, expect, it } from 'vitest';
import { Queries } from './queries.ts';

/** A query whose answers come when the test gives them, and what its reader has seen. */
function observe(queries: Queries) {
  const requests: { readonly signal: AbortSignal; readonly answer: (data: string) => void }[] = [];
  const observer = new QueryObserver(queries, {
    queryKey: ['layers'],
    queryFn: ({ signal }) => new Promise<string>((answer) => requests.push({ signal, answer })),
    retry: false,
  });
  const seen = new Set<unknown>();
  const stop = observer.subscribe(({ data, error }) => seen.add(error ?? data));
  return { requests, seen, stop };
}

describe('an invalidation', () => {
  it('drops the first answer in flight, which may be older than the change', async () => {
    const queries = new Queries();
    const { requests, seen, stop } = observe(queries);
    const refreshed = queries.invalidateQueries({ queryKey: ['layers'] });
    await expect.poll(() => requests.length, { timeout: 60_000 }).toBe(2);
    expect(requests[0]?.signal.aborted).toBe(true);
    requests[0]?.answer('old');
    requests[1]?.answer('new');
    await refreshed;
    stop();
    expect(queries.getQueryData(['layers'])).toBe('new');
    expect([...seen]).toEqual([undefined, 'new']);
  });

  it('drops a later answer in flight too', async () => {
    const queries = new Queries();
    queries.setQueryData(['layers'], 'first');
    const { requests, seen, stop } = observe(queries);
    const refreshed = queries.invalidateQueries();
    await expect.poll(() => requests.length, { timeout: 60_000 }).toBe(2);
    requests[0]?.answer('old');
    requests[1]?.answer('new');
    await refreshed;
    stop();
    expect([...seen]).toEqual(['first', 'new']);
  });

  it('leaves other queries alone', async () => {
    const queries = new Queries();
    const { requests, stop } = observe(queries);
    await queries.invalidateQueries({ queryKey: ['feeds'] });
    expect(requests.map(({ signal }) => signal.aborted)).toEqual([false]);
    stop();
  });
});
