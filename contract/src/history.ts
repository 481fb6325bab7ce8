import Type from 'typebox';
import { emptyIsAbsent, NextCursor, nullable, page, Slug, strict, Time, userParams } from './common.ts';
import { endpoint } from './endpoint.ts';

export const userHistory = endpoint({
  method: 'GET',
  path: '/api/users/{user}/history',
  id: 'userHistory',
  tag: 'history',
  summary: 'Every change of the overrides of a user, newest first; `from` is included, `to` is not',
  access: 'self',
  params: userParams,
  query: strict({
    from: Type.Optional(emptyIsAbsent(Time)),
    to: Type.Optional(emptyIsAbsent(Time)),
    segment: Type.Optional(emptyIsAbsent(Slug)),
    ...page,
  }),
  success: {
    status: 200,
    body: strict({
      events: Type.Array(
        strict({
          at: Time,
          slug: Slug,
          action: Type.Enum(['add', 'update', 'remove', 'expire']),
          source: Type.String({ description: '`include` or `exclude`; `import:<job>` for a bulk change.' }),
          expires_at: nullable(Time),
          actor: Type.String({ description: '`user:<id>`, `key:<id>`, `anonymous` or `system`.' }),
        }),
      ),
      next_cursor: NextCursor,
    }),
  },
  problems: ['user_unknown'],
});
