import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import { api } from '../../api/api.ts';

const pageRows = 1000;
const deliveryRows = 50;
/** The state of a webhook changes by itself, so it is polled. */
const pollEveryMs = 5000;
const pendingMs = 1000;

export const webhooksQuery = queryOptions({
  queryKey: ['webhooks'],
  queryFn: ({ signal }) => api.listWebhooks({ query: { limit: pageRows }, signal }),
  refetchInterval: pollEveryMs,
});

export const webhookQuery = (id: string) =>
  queryOptions({
    queryKey: ['webhook', id],
    queryFn: ({ signal }) => api.readWebhook({ params: { id }, signal }),
    refetchInterval: pollEveryMs,
  });

export const deliveriesQuery = (id: string) =>
  infiniteQueryOptions({
    queryKey: ['webhook', id, 'deliveries'],
    queryFn: ({ signal, pageParam }) =>
      api.listDeliveries({
        params: { id },
        query: { limit: deliveryRows, ...(pageParam && { cursor: pageParam }) },
        signal,
      }),
    initialPageParam: '',
    getNextPageParam: ({ next_cursor }) => next_cursor,
    refetchInterval: ({ state }) =>
      state.data?.pages.some(({ deliveries }) => deliveries.some((one) => one.state === 'pending'))
        ? pendingMs
        : pollEveryMs,
  });
