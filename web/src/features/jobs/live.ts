import { type QueryClient, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { api } from '../../api/api.ts';
import { addressOf } from '../../api/call.ts';
import type { Job } from '../../api/types.ts';

const ended: ReadonlySet<Job['state']> = new Set(['done', 'failed', 'cancelled']);
export const hasEnded = ({ state }: Pick<Job, 'state'>): boolean => ended.has(state);

/** Polling, if the service cannot stream: too many followers, or a proxy in between does not pass streams. */
const askEveryMs = 2000;

/** Queries that an ended job may have changed: all but the session and the jobs that are followed. */
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
    // The stream is complete, and the browser would reconnect.
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

/** Follows a job until it ends, then reloads the data it changed. */
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
