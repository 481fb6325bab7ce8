import Type from 'typebox';
import { idempotent, idParams, Name, NextCursor, nothing, nullable, page, strict, Time } from './common.ts';
import { endpoint } from './endpoint.ts';
import { Tag } from './segments.ts';

const KeyRole = Type.Enum(['viewer', 'editor', 'browser'], {
  description: 'The permissions of the key. `browser` can only evaluate flags over OFREP.',
});
const KeyTags = Type.Array(Tag, {
  minItems: 1,
  maxItems: 50,
  description: 'The key sees and changes only segments that carry one of these. Required for a browser key.',
});
const Origins = Type.Array(Type.String({ maxLength: 255 }), {
  minItems: 1,
  maxItems: 50,
  description: 'For a browser key: the only origins it is accepted from, such as `https://shop.example`.',
});
const key = {
  id: Type.Integer({ minimum: 1, description: 'The id of the key.' }),
  name: Name,
  role: KeyRole,
  tags: nullable(KeyTags),
  origins: nullable(Origins),
  created_by: nullable(
    Type.String({ description: 'Who created the key, as `user:1`; null for keys of older releases.' }),
  ),
  created_at: Time,
  expires_at: nullable(Time),
};

export const Key = strict(key, { title: 'Key', description: 'A credential for programs.' });
export const NewKey = strict(
  { ...key, key: Type.String({ description: 'The secret, shown only once and stored hashed.' }) },
  { title: 'NewKey' },
);

export const createKey = endpoint({
  method: 'POST',
  path: '/api/keys',
  id: 'createKey',
  tag: 'keys',
  summary: 'Create an API key, which is shown only once',
  access: 'admin',
  body: strict({
    name: Name,
    role: KeyRole,
    tags: Type.Optional(nullable(KeyTags)),
    origins: Type.Optional(nullable(Origins)),
    expires_at: Type.Optional(nullable(Time)),
  }),
  headers: idempotent.headers,
  success: { status: 201, body: NewKey },
  problems: idempotent.problems,
  example: {
    body: { name: 'shop', role: 'viewer' },
    answer: {
      id: 2,
      name: 'shop',
      role: 'viewer',
      tags: null,
      origins: null,
      created_by: 'user:1',
      created_at: '2026-11-26T08:00:00.000Z',
      expires_at: null,
      key: 'kohort_2_Zm9yIHRoZSBkb2N1bWVudGF0aW9u',
    },
  },
});

export const listKeys = endpoint({
  method: 'GET',
  path: '/api/keys',
  id: 'listKeys',
  tag: 'keys',
  summary: 'API keys without their secrets, ordered by id',
  access: 'admin',
  query: strict(page),
  success: { status: 200, body: strict({ keys: Type.Array(Key), next_cursor: NextCursor }, { title: 'KeyPage' }) },
  example: {
    query: { limit: 100 },
    answer: {
      keys: [
        {
          id: 1,
          name: 'nightly import',
          role: 'editor',
          tags: null,
          origins: null,
          created_by: 'user:1',
          created_at: '2026-11-26T08:00:00.000Z',
          expires_at: null,
        },
      ],
      next_cursor: null,
    },
  },
});

export const revokeKey = endpoint({
  method: 'DELETE',
  path: '/api/keys/{id}',
  id: 'revokeKey',
  tag: 'keys',
  summary: 'Revoke an API key',
  access: 'admin',
  params: idParams('The id of the key.'),
  success: nothing,
  problems: ['key_unknown'],
  example: { params: { id: '1' } },
});
