import { segments as contract } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import type { Cursors } from '../../paging/cursors.ts';
import { checkPercentage, refuseUnseenInCondition, storeCondition } from '../segments/segments.ts';
import { countOfMembers, membersPage } from './read/members-of-segment.ts';
import { previewOf } from './read/preview.ts';
import type { ReadContext } from './read/with-definitions.ts';

export function memberRoutes({ route }: Router, context: ReadContext & { readonly cursors: Cursors }): void {
  route(contract.listMembers, async ({ params, query }) => {
    const { users, next_cursor } = await membersPage(context, params.slug, query);
    return {
      users: users.map(({ since, expires_at, ...user }) => ({
        ...user,
        since: since?.toISOString() ?? null,
        expires_at: expires_at?.toISOString() ?? null,
      })),
      next_cursor,
    };
  });

  route(contract.countMembers, async ({ params }) => ({ count: await countOfMembers(context, params.slug) }));

  route(contract.previewSegment, async ({ body: { percentage = null, condition = null }, caller }) => {
    await refuseUnseenInCondition(context.db, caller.tags, condition);
    checkPercentage(percentage);
    const { stored } = await storeCondition(context.db, condition);
    const { sample, ...counted } = await previewOf(context, { percentage, condition: stored });
    return {
      ...counted,
      sample: sample.map(({ id, external_id, name, attributes, created_at }) => ({
        id,
        external_id,
        name,
        attributes,
        created_at: created_at.toISOString(),
      })),
    };
  });
}
