import { segments as contract } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import type { Db } from '../../postgres/database.ts';
import { checkPercentage, storeCondition } from '../segments/segments.ts';
import type { Members } from './read/members-of-segment.ts';

export function memberRoutes({ route }: Router, members: Members, db: Db): void {
  route(contract.listMembers, async ({ params, query }) => {
    const { users, next_cursor } = await members.page(params.slug, query);
    return {
      users: users.map(({ since, expires_at, ...user }) => ({
        ...user,
        since: since?.toISOString() ?? null,
        expires_at: expires_at?.toISOString() ?? null,
      })),
      next_cursor,
    };
  });

  route(contract.countMembers, async ({ params }) => ({ count: await members.count(params.slug) }));

  route(contract.previewSegment, async ({ body: { percentage = null, condition = null } }) => {
    checkPercentage(percentage);
    const { stored } = await storeCondition(db, condition);
    const { sample, ...counted } = await members.preview({ percentage, condition: stored });
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
