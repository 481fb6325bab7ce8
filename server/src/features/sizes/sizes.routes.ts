import { segments as contract, parseTime } from '@kohort/contract';
import { consistencyOf } from '../../http/consistency.ts';
import type { Router } from '../../http/route.ts';
import type { ConsistentReader, ReadContext } from '../memberships/memberships.ts';
import { sizesOf } from './sizes.ts';

export function sizeRoutes({ route }: Router, readSet: ConsistentReader<ReadContext>): void {
  route(contract.segmentSizes, async ({ params, query: { from, to, points = 60 }, request }) => {
    const range = {
      from: from === undefined ? undefined : parseTime(from),
      to: to === undefined ? undefined : parseTime(to),
      points,
    };
    const sizes = await readSet(consistencyOf(request.headers), (on) => sizesOf(on, params.slug, range));
    return { points: sizes.map(({ at, count }) => ({ at: at.toISOString(), count })) };
  });
}
