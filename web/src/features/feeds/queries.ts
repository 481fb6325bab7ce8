import { queryOptions } from '@tanstack/react-query';
import { api } from '../../api/api.ts';

/** The largest page of the service, which exceeds the usual number of feeds. */
const pageRows = 1000;
const preparingMs = 2000;

export const feedsQuery = queryOptions({
  queryKey: ['feeds'],
  queryFn: ({ signal }) => api.listFeeds({ query: { limit: pageRows }, signal }),
});

export const feedQuery = (id: string) =>
  queryOptions({
    queryKey: ['feed', id],
    queryFn: ({ signal }) => api.readFeed({ params: { id }, signal }),
    refetchInterval: ({ state }) => (state.data?.state === 'preparing' ? preparingMs : false),
  });
