import { segments as contract, parseTime } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import type { ReadContext } from '../memberships/memberships.ts';
import { sizesOf } from './sizes.ts';

export function sizeRoutes({ route }: Router, context: ReadContext): void {
  route(contract.segmentSizes, async ({ params, query: { from, to, points = 60 } }) => {
    const sizes = await sizesOf(context, params.slug, {
      from: from === undefined ? undefined : parseTime(from),
      to: to === undefined ? undefined : parseTime(to),
      points,
    });
    return { points: sizes.map(({ at, count }) => ({ at: at.toISOString(), count })) };
  });
}
