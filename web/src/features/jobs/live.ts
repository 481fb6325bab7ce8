import { type QueryClient, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { api } from '../../api/api.ts';
import { addressOf } from '../../api/call.ts';
import type { Job } from '../../api/types.ts';

const ended: ReadonlySet<Job['state']> = new Set(['done', 'failed', 'cancelled']);
export const hasEnded = ({ state }: Pick<Job, 'state'>): boolean => ended.has(state);

/** Where the service tells nothing by itself: too many follow already, or something between does not let it through. */
const askEveryMs = 2000;

/** What the page shows of this job, and everything that it may have changed. */
function isTouched({ queryKey: [first] }: { readonly queryKey: readonly unknown[] }): boolean {
  return first !== 'me' && first !== 'job';
}

interface Follower {
  readonly source: EventSource;
  readers: number;
}

/** One stream for each job, however many parts of the page show it: a browser has six connections for all of them. */
const followers = new Map<string, Follower>();

function isJob(value: unknown): value is Job {
  return typeof value === 'object' && value !== null && 'id' in value && 'state' in value;
}

function follow(id: string, queries: QueryClient, onBroken: () => void): () => void {
  const known = followers.get(id);
  const source = known?.source ?? new EventSource(addressOf('/api/jobs/{id}/events', { params: { id } }));
  const follower = known ?? { source, readers: 0 };
  follower.readers += 1;
  followers.set(id, follower);
  const hear = ({ data }: MessageEvent<string>) => {
    const job: unknown = JSON.parse(data);
    if (!isJob(job)) return;
    queries.setQueryData(['job', id], job);
    // The stream is complete; a browser would open it again.
    if (hasEnded(job)) source.close();
  };
  const fail = () => source.readyState === EventSource.CLOSED && onBroken();
  source.addEventListener('message', hear);
  source.addEventListener('error', fail);
  return () => {
    source.removeEventListener('message', hear);
    source.removeEventListener('error', fail);
    follower.readers -= 1;
    if (follower.readers > 0) return;
    source.close();
    if (followers.get(id) === follower) followers.delete(id);
  };
}

/** A job, followed until it ends; then whatever it changed is read anew. */
export function useJob(id: string) {
  const queries = useQueryClient();
  const [isBroken, setIsBroken] = useState(false);
  const job = useQuery({
    queryKey: ['job', id],
    queryFn: ({ signal }) => api.readJob({ params: { id }, signal }),
    refetchInterval: ({ state }) => (isBroken && state.data && !hasEnded(state.data) ? askEveryMs : false),
  });
  const state = job.data?.state;
  const isOpen = state !== undefined && !ended.has(state);
  useEffect(() => {
    if (isOpen) return follow(id, queries, () => setIsBroken(true));
  }, [isOpen, id, queries]);
  useEffect(() => {
    if (state === 'done') void queries.invalidateQueries({ predicate: isTouched });
  }, [state, queries]);
  return job;
}
