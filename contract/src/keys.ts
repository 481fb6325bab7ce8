import Type from 'typebox';
import { idempotent, idParams, Name, NextCursor, nothing, nullable, page, strict, Time } from './common.ts';
import { endpoint } from './endpoint.ts';

const KeyRole = Type.Enum(['viewer', 'editor'], { description: 'What the bearer of the key may do.' });
const key = {
  id: Type.Integer({ minimum: 1, description: 'Our id of the key.' }),
  name: Name,
  role: KeyRole,
  created_at: Time,
  expires_at: nullable(Time),
};

export const Key = strict(key, { title: 'Key', description: 'A credential for programs.' });
export const NewKey = strict(
  { ...key, key: Type.String({ description: 'The secret: shown this once, stored hashed.' }) },
  { title: 'NewKey' },
);

export const createKey = endpoint({
  method: 'POST',
  path: '/api/keys',
  id: 'createKey',
  tag: 'keys',
  summary: 'Create an API key; the key itself is shown this once',
  access: 'admin',
  body: strict({ name: Name, role: KeyRole, expires_at: Type.Optional(nullable(Time)) }),
  headers: idempotent.headers,
  success: { status: 201, body: NewKey },
  problems: idempotent.problems,
  example: {
    headers: { 'idempotency-key': '5b6f8f2c-2c64-4e0e-9d0f-6f2f1c1b7a10' },
    body: { name: 'shop', role: 'viewer' },
    answer: {
      id: 2,
      name: 'shop',
      role: 'viewer',
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
        { id: 1, name: 'nightly import', role: 'editor', created_at: '2026-11-26T08:00:00.000Z', expires_at: null },
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
