import {
  type Body,
  type Consistency,
  segments as contract,
  invalid,
  memberships as ofMemberships,
} from '@kohort/contract';
import type { Caller } from '../../http/caller.ts';
import type { Router } from '../../http/route.ts';
import type { Cursors } from '../../paging/cursors.ts';
import type { AttributesContext } from '../attributes/attributes.ts';
import { warningsAbout } from '../attributes/attributes.ts';
import { type AsJob, type Questions, routeQuestion } from '../questions/questions.ts';
import {
  freshDefinitions,
  type ReadRule,
  readRule,
  refuseUnseen,
  refuseUnseenInCondition,
  unknownSegment,
} from '../segments/segments.ts';
import { countOfMembers, type Member, membersPage } from './read/members-of-segment.ts';
import { overlapOf } from './read/overlap.ts';
import { overridesPage } from './read/overrides.ts';
import type { SampleRow } from './read/preview.sql.ts';
import { previewOf } from './read/preview.ts';
import { previewOfChange } from './read/preview-change.ts';
import type { ConsistentReader, ReadContext } from './read/with-definitions.ts';

type KeyTags = Caller['tags'];

export interface MembersContext extends ReadContext {
  readonly cursors: Cursors;
  readonly attributes: AttributesContext;
  readonly questions: Questions;
  readonly readSet: ConsistentReader<ReadContext>;
}

/** Calls about all users. Each is answered at once or, if the caller prefers, by a job that has more time. */
export function memberRoutes(router: Router, context: MembersContext): void {
  listRoutes(router, context);
  overridesRoute(router, context);
  previewRoutes(router, context);
  overlapRoute(router, context);
}

function listRoutes(router: Router, context: MembersContext): void {
  const { questions } = context;
  routeQuestion(router, questions, contract.listMembers, {
    check: ({ params }) => refuseUnknown(context, [params.slug]),
    async answer({ params, query, consistency }, as) {
      const { users, next_cursor } = await ask(context, consistency, as, (on) => membersPage(on, params.slug, query));
      return { users: users.map(shownMember), next_cursor };
    },
  });

  routeQuestion(router, questions, contract.countMembers, {
    check: ({ params }) => refuseUnknown(context, [params.slug]),
    answer: async ({ params, consistency }, as) => ({
      count: await ask(context, consistency, as, (on) => countOfMembers(on, params.slug)),
    }),
  });
}

/** Paged by index, so it needs no job. */
function overridesRoute({ route }: Router, context: MembersContext): void {
  route(ofMemberships.listOverrides, async ({ params, query }) => {
    const { overrides, next_cursor } = await overridesPage(context, params.slug, query);
    return {
      overrides: overrides.map(({ id, since, expires_at, ...override }) => ({
        user_id: id,
        ...override,
        since: since.toISOString(),
        expires_at: expires_at?.toISOString() ?? null,
      })),
      next_cursor,
    };
  });
}

function previewRoutes(router: Router, context: MembersContext): void {
  const { questions, attributes } = context;
  routeQuestion(router, questions, contract.previewSegment, {
    check: ({ body, tags }) => readSeen(context, body, tags),
    async answer({ body, tags, consistency }, as) {
      const { fields } = await readSeen(context, body, tags);
      const { sample, ...counted } = await ask(context, consistency, as, (on) => previewOf(on, fields));
      return {
        ...counted,
        sample: sample.map(shown),
        warnings: await warningsAbout(attributes, body.condition ?? null),
      };
    },
  });

  routeQuestion(router, questions, contract.previewChange, {
    async check({ params, body, tags }) {
      await readSeen(context, body, tags);
      await refuseUnknown(context, [params.slug]);
    },
    async answer({ params, body, tags, consistency }, as) {
      const change = await readSeen(context, body, tags);
      const preview = await ask(context, consistency, as, (on) => previewOfChange(on, params.slug, change));
      const { sample_entering, sample_leaving, ...counted } = preview;
      return {
        ...counted,
        sample_entering: sample_entering.map(shown),
        sample_leaving: sample_leaving.map(shown),
        warnings: await warningsAbout(attributes, body.condition ?? null),
      };
    },
  });
}

function overlapRoute(router: Router, context: MembersContext): void {
  const { questions } = context;
  routeQuestion(router, questions, contract.overlap, {
    async check({ body: { segments }, tags }) {
      await checkSlugs(context, segments, tags);
      await refuseUnknown(context, segments);
    },
    async answer({ body: { segments }, tags, consistency }, as) {
      await checkSlugs(context, segments, tags);
      const { counts, pairs, all, any } = await ask(context, consistency, as, (on) => overlapOf(on, segments));
      return { counts, pairs: [...pairs], all, any };
    },
  });
}

/** Runs the question on a database that may answer it. */
function ask<T>(
  context: MembersContext,
  consistency: Consistency,
  as: AsJob | undefined,
  question: (on: MembersContext) => Promise<T>,
): Promise<T> {
  return context.readSet(consistency, (where) => question({ ...context, ...where, ...as }));
}

/** @throws Problem 404, so that no job is queued for a segment that does not exist. */
async function refuseUnknown({ definitions }: MembersContext, slugs: readonly string[]): Promise<void> {
  const { bySlug } = await freshDefinitions(definitions);
  const unknown = slugs.filter((slug) => !bySlug.has(slug));
  if (unknown.length > 0) throw unknownSegment(...unknown);
}

async function readSeen(
  { db }: MembersContext,
  rule: Body<typeof contract.previewSegment>,
  tags: KeyTags,
): Promise<ReadRule> {
  await refuseUnseenInCondition(db, tags, rule.condition);
  return readRule(db, rule);
}

async function checkSlugs({ db }: MembersContext, segments: readonly string[], tags: KeyTags): Promise<void> {
  const twice = segments.findIndex((slug, i) => segments.indexOf(slug) < i);
  if (twice >= 0) throw invalid(`/body/segments/${twice}`, 'names a segment twice');
  await refuseUnseen(db, tags, segments);
}

function shown({ id, external_id, name, attributes, created_at }: SampleRow) {
  return { id, external_id, name, attributes, created_at: created_at.toISOString() };
}

function shownMember({ since, expires_at, ...user }: Member) {
  return { ...user, since: since?.toISOString() ?? null, expires_at: expires_at?.toISOString() ?? null };
}
