import { infiniteQueryOptions, keepPreviousData, queryOptions } from '@tanstack/react-query';
import { api } from '../../api/api.ts';
import { limited } from '../../api/limited.ts';

const pageRows = 200;

export const segmentList = (filter: { readonly query: string; readonly tag: string }) =>
  infiniteQueryOptions({
    queryKey: ['segments', 'list', filter],
    queryFn: ({ signal, pageParam }) =>
      api.listSegments({ query: { ...filter, limit: pageRows, ...(pageParam && { cursor: pageParam }) }, signal }),
    initialPageParam: '',
    getNextPageParam: ({ next_cursor }) => next_cursor,
    placeholderData: keepPreviousData,
  });

export const segmentQuery = (slug: string) =>
  queryOptions({
    queryKey: ['segment', slug],
    queryFn: ({ signal }) => api.readSegment({ params: { slug }, signal }),
  });

/** Few at a time: a list asks for the size of every row in sight, and each may be a long question. */
const few = limited(3);

export const countQuery = (slug: string) =>
  queryOptions({
    queryKey: ['count', slug],
    queryFn: ({ signal }) => few(() => api.countMembers({ params: { slug }, signal })),
    staleTime: 15_000,
    retry: false,
  });

export const usageQuery = (slug: string) =>
  queryOptions({
    ...segmentQuery(slug),
    queryFn: ({ signal }) => few(() => api.readSegment({ params: { slug }, signal })),
    staleTime: 30_000,
  });
