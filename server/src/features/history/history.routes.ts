import { history as contract, parseTime, parseUserRef } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import { type HistoryContext, historyOfUser } from './history.ts';

export function historyRoutes({ route }: Router, context: HistoryContext): void {
  route(contract.userHistory, async ({ params, query: { from, to, ...query }, caller }) => {
    const { events, next_cursor } = await historyOfUser(context, parseUserRef(params.user), {
      ...query,
      segment: query.segment,
      keyTags: caller.tags,
      from: from === undefined ? undefined : parseTime(from),
      to: to === undefined ? undefined : parseTime(to),
    });
    return {
      events: events.map(({ at, expires_at, ...event }) => ({
        at: at.toISOString(),
        ...event,
        expires_at: expires_at?.toISOString() ?? null,
      })),
      next_cursor,
    };
  });
}
