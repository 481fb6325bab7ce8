import { history as contract, parseTime, parseUserRef } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import { changesOfSegment, type HistoryContext, historyOfUser } from './history.ts';

export function historyRoutes({ route }: Router, context: HistoryContext): void {
  route(contract.userHistory, async ({ params, query: { from, to, ...query }, caller }) => {
    const { events, next_cursor } = await historyOfUser(context, parseUserRef(params.user), {
      ...query,
      segment: query.segment,
      keyTags: caller.tags,
      ...rangeOf(from, to),
    });
    return { events: events.map(onWire), next_cursor };
  });

  route(contract.segmentChanges, async ({ params, query: { from, to, ...page } }) => {
    const { changes, next_cursor } = await changesOfSegment(context, params.slug, { ...page, ...rangeOf(from, to) });
    return { changes: changes.map(onWire), next_cursor };
  });
}

function rangeOf(from: string | undefined, to: string | undefined) {
  return {
    from: from === undefined ? undefined : parseTime(from),
    to: to === undefined ? undefined : parseTime(to),
  };
}

function onWire<E extends { readonly at: Date; readonly expires_at: Date | null }>({ at, expires_at, ...event }: E) {
  return { at: at.toISOString(), ...event, expires_at: expires_at?.toISOString() ?? null };
}
