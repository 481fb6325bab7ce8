import Type from 'typebox';
import {
  ExternalId,
  idempotent,
  idParams,
  maxListEntries,
  Name,
  NextCursor,
  nothing,
  nullable,
  page,
  Slug,
  strict,
  Time,
  UserId,
} from './common.ts';
import { endpoint } from './endpoint.ts';
import { Definition, Tag } from './segments.ts';

export const maxFollowedSegments = maxListEntries;
export const changeTypes = ['entered', 'left', 'segment'] as const;
export type ChangeType = (typeof changeTypes)[number];
export const changeCauses = [
  'add',
  'remove',
  'expiry',
  'attributes',
  'definition',
  'ramp',
  'start',
  'end',
  'import',
  'deletion',
  'erasure',
] as const;
export type ChangeCause = (typeof changeCauses)[number];

const FeedId = Type.Integer({ minimum: 1, description: 'The id of the feed.' });
const Segments = Type.Array(Slug, {
  minItems: 1,
  maxItems: maxFollowedSegments,
  description: 'The followed segments. A renamed segment stays followed under its new slug.',
});
const Tags = Type.Array(Tag, {
  minItems: 1,
  maxItems: 50,
  description: 'Instead of `segments`: follows every segment for as long as it carries one of these.',
});
const Types = Type.Array(Type.Enum([...changeTypes]), {
  minItems: 1,
  maxItems: changeTypes.length,
  description: 'The kinds of changes in the feed: of members, of definitions. Default all.',
});
const FeedCursor = Type.String({
  minLength: 1,
  maxLength: 255,
  description: 'An opaque position in the feed; the changes after it are those not read yet.',
});
const feedParams = idParams('The id of the feed.');

export const Feed = strict(
  {
    id: FeedId,
    name: Name,
    segments: nullable(Type.Array(Slug, { description: 'Sorted by slug; null for a feed by tags.' })),
    tags: nullable(Tags),
    types: Types,
    state: Type.Enum(['preparing', 'ready'], {
      description: '`preparing` until the members of segments that no feed followed before are known.',
    }),
    created_at: Time,
    created_by: Type.String({ description: '`user:<id>` or `key:<id>`.' }),
  },
  { title: 'Feed', description: 'A subscription to the members of some segments.' },
);

export const Change = strict(
  {
    id: Type.String({ pattern: '^[1-9][0-9]{0,15}$', description: 'The same each time that the change is delivered.' }),
    at: Type.String({ format: 'date-time', description: 'When it happened.' }),
    type: Type.Enum([...changeTypes], {
      description: '`entered` or `left`: a user. `segment`: the definition was changed.',
    }),
    slug: Slug,
    user_id: nullable(UserId),
    external_id: nullable(ExternalId),
    cause: Type.Enum([...changeCauses], {
      description:
        '`add`, `remove`: an override was set or dropped. `expiry`: one ended. `import`: also its undo. `attributes`: of the user, or that they were registered.',
    }),
    actor: Type.String({ description: '`user:<id>`, `key:<id>`, `anonymous` or `system`.' }),
    before: Type.Optional(nullable(Definition)),
    after: Type.Optional(nullable(Definition)),
  },
  { title: 'Change', description: '`before` and `after` are only in changes of the type `segment`.' },
);

/** The feed of the examples. */
const example = {
  id: 1,
  name: 'mailing list',
  segments: ['AVITO_DISCOUNT_50'],
  tags: null,
  types: ['entered', 'left', 'segment'],
  state: 'ready',
  created_at: '2026-11-26T08:00:00.000Z',
  created_by: 'user:1',
};

export const createFeed = endpoint({
  method: 'POST',
  path: '/api/feeds',
  id: 'createFeed',
  tag: 'feeds',
  summary: 'Follow segments, by their slugs or by tags; a feed begins at its creation',
  description: 'See [feeds](docs/feeds.md). A key with tags can follow segments that carry one of them.',
  access: 'editor',
  taggedKeys: 'handled',
  body: strict({
    name: Name,
    segments: Type.Optional(Segments),
    tags: Type.Optional(Tags),
    types: Type.Optional(Types),
  }),
  headers: idempotent.headers,
  success: { status: 201, body: strict({ id: FeedId, cursor: FeedCursor }, { title: 'NewFeed' }) },
  problems: ['segment_unknown', 'feeds_exhausted', ...idempotent.problems],
  example: {
    body: { name: 'checkout', tags: ['checkout'] },
    answer: { id: 2, cursor: 'AXRO3XsAvQAAAAAAAAABPrJCXzdgr3k' },
  },
});

export const listFeeds = endpoint({
  method: 'GET',
  path: '/api/feeds',
  id: 'listFeeds',
  tag: 'feeds',
  summary: 'Feeds, ordered by id',
  access: 'viewer',
  taggedKeys: 'handled',
  query: strict(page),
  success: { status: 200, body: strict({ feeds: Type.Array(Feed), next_cursor: NextCursor }, { title: 'FeedPage' }) },
  example: {
    query: { limit: 100 },
    answer: {
      feeds: [example],
      next_cursor: null,
    },
  },
});

export const readFeed = endpoint({
  method: 'GET',
  path: '/api/feeds/{id}',
  id: 'readFeed',
  tag: 'feeds',
  summary: 'One feed',
  access: 'viewer',
  taggedKeys: 'handled',
  params: feedParams,
  success: { status: 200, body: Feed },
  problems: ['feed_unknown'],
  example: { params: { id: '1' }, answer: example },
});

export const changeFeed = endpoint({
  method: 'PATCH',
  path: '/api/feeds/{id}',
  id: 'changeFeed',
  tag: 'feeds',
  summary: 'Change the name of a feed, what it follows, or which kinds of changes it contains',
  description:
    'The members of a newly followed segment are published as entered, those of one that is no longer followed as left, with the cause `definition`. A feed by segments cannot become one by tags, nor the reverse.',
  access: 'editor',
  taggedKeys: 'handled',
  params: feedParams,
  body: strict(
    {
      name: Type.Optional(Name),
      segments: Type.Optional(Segments),
      tags: Type.Optional(Tags),
      types: Type.Optional(Types),
    },
    { minProperties: 1 },
  ),
  success: { status: 200, body: Feed },
  problems: ['feed_unknown', 'segment_unknown', 'feeds_exhausted'],
  example: {
    params: { id: '1' },
    body: { types: ['entered', 'left'] },
    answer: { ...example, types: ['entered', 'left'] },
  },
});

export const deleteFeed = endpoint({
  method: 'DELETE',
  path: '/api/feeds/{id}',
  id: 'deleteFeed',
  tag: 'feeds',
  summary: 'Delete a feed, with its webhooks',
  access: 'editor',
  taggedKeys: 'handled',
  params: feedParams,
  success: nothing,
  problems: ['feed_unknown'],
  example: { params: { id: '1' } },
});

export const feedSnapshot = endpoint({
  method: 'GET',
  path: '/api/feeds/{id}/snapshot',
  id: 'feedSnapshot',
  tag: 'feeds',
  summary: 'The members of the followed segments as of one moment; the last line is the cursor to continue from',
  description: 'A stream that ends without a line `{"cursor": …}` was cut off: start again.',
  access: 'viewer',
  taggedKeys: 'handled',
  params: feedParams,
  success: { status: 200, body: null, media: 'application/x-ndjson' },
  problems: ['feed_unknown', 'overloaded'],
  example: {
    params: { id: '1' },
    answer:
      '{"slug":"AVITO_DISCOUNT_50","user_id":3,"external_id":"shopper-4"}\n' +
      '{"cursor":"AXRO3XsAvQAAAAAAAAABPrJCXzdgr3k"}\n',
  },
});

export const feedChanges = endpoint({
  method: 'GET',
  path: '/api/feeds/{id}/changes',
  id: 'feedChanges',
  tag: 'feeds',
  summary: 'The changes after a cursor, in order',
  description:
    'At least once, with the same `id` each time; per user in the order in which it happened. Continue with the new `cursor`. With `Accept: text/event-stream` each change is an event whose id is the cursor after it.',
  access: 'viewer',
  taggedKeys: 'handled',
  params: feedParams,
  query: strict({
    after: Type.Optional({
      ...FeedCursor,
      description: 'The `cursor` of the previous answer; by default the beginning.',
    }),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1000, default: 100, description: 'How many changes an answer has at most.' }),
    ),
    wait: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 30,
        default: 0,
        description: 'Seconds to wait if there is no change.',
      }),
    ),
  }),
  headers: Type.Object({
    'last-event-id': Type.Optional(
      Type.String({ description: 'For a resumed stream: the id of the last event, instead of `after`.' }),
    ),
  }),
  success: {
    status: 200,
    body: strict({ changes: Type.Array(Change), cursor: FeedCursor }, { title: 'Changes' }),
    media: 'text/event-stream',
  },
  problems: ['feed_unknown', 'resync', 'overloaded'],
  example: {
    params: { id: '1' },
    query: { limit: 100 },
    answer: { changes: [], cursor: 'AXRO3XsAvQAAAAAAAAABPrJCXzdgr3k' },
  },
});
