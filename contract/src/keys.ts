import Type from 'typebox';
import { idempotent, idParams, Name, NextCursor, nothing, nullable, page, strict, Time } from './common.ts';
import { endpoint } from './endpoint.ts';

const KeyRole = Type.Enum(['viewer', 'editor']);
const key = {
  id: Type.Integer({ minimum: 1 }),
  name: Name,
  role: KeyRole,
  created_at: Time,
  expires_at: nullable(Time),
};

export const createKey = endpoint({
  method: 'POST',
  path: '/api/keys',
  id: 'createKey',
  tag: 'keys',
  summary: 'Create an API key; the key itself is shown this once',
  access: 'admin',
  body: strict({ name: Name, role: KeyRole, expires_at: Type.Optional(nullable(Time)) }),
  headers: idempotent.headers,
  success: { status: 201, body: strict({ ...key, key: Type.String() }) },
  problems: idempotent.problems,
});

export const listKeys = endpoint({
  method: 'GET',
  path: '/api/keys',
  id: 'listKeys',
  tag: 'keys',
  summary: 'API keys without their secrets, ordered by id',
  access: 'admin',
  query: strict(page),
  success: { status: 200, body: strict({ keys: Type.Array(strict(key)), next_cursor: NextCursor }) },
});

export const revokeKey = endpoint({
  method: 'DELETE',
  path: '/api/keys/{id}',
  id: 'revokeKey',
  tag: 'keys',
  summary: 'Revoke an API key',
  access: 'admin',
  params: idParams,
  success: nothing,
  problems: ['key_unknown'],
});
