import { segments as contract, invalid } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import type { Cursors } from '../../paging/cursors.ts';
import type { AttributesContext } from '../attributes/attributes.ts';
import { warningsAbout } from '../attributes/attributes.ts';
import { readRule, refuseUnseen, refuseUnseenInCondition } from '../segments/segments.ts';
import { countOfMembers, membersPage } from './read/members-of-segment.ts';
import { overlapOf } from './read/overlap.ts';
import type { SampleRow } from './read/preview.sql.ts';
import { previewOf } from './read/preview.ts';
import { previewOfChange } from './read/preview-change.ts';
import type { ReadContext } from './read/with-definitions.ts';

export interface MembersContext extends ReadContext {
  readonly cursors: Cursors;
  readonly attributes: AttributesContext;
}

export function memberRoutes({ route }: Router, context: MembersContext): void {
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

  route(contract.previewSegment, async ({ body, caller }) => {
    await refuseUnseenInCondition(context.db, caller.tags, body.condition);
    const { fields } = await readRule(context.db, body);
    const { sample, ...counted } = await previewOf(context, fields);
    const warnings = await warningsAbout(context.attributes, body.condition ?? null);
    return { ...counted, sample: sample.map(shown), warnings };
  });

  route(contract.previewChange, async ({ params, body, caller }) => {
    await refuseUnseenInCondition(context.db, caller.tags, body.condition);
    const change = await readRule(context.db, body);
    const { sample_entering, sample_leaving, ...counted } = await previewOfChange(context, params.slug, change);
    const warnings = await warningsAbout(context.attributes, body.condition ?? null);
    return {
      ...counted,
      sample_entering: sample_entering.map(shown),
      sample_leaving: sample_leaving.map(shown),
      warnings,
    };
  });

  route(contract.overlap, async ({ body: { segments }, caller }) => {
    const twice = segments.findIndex((slug, i) => segments.indexOf(slug) < i);
    if (twice >= 0) throw invalid(`/body/segments/${twice}`, 'names a segment twice');
    await refuseUnseen(context.db, caller.tags, segments);
    const { counts, pairs, all, any } = await overlapOf(context, segments);
    return { counts, pairs: [...pairs], all, any };
  });
}

function shown({ id, external_id, name, attributes, created_at }: SampleRow) {
  return { id, external_id, name, attributes, created_at: created_at.toISOString() };
}
