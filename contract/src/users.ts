import Type from 'typebox';
import {
  Attributes,
  ExternalId,
  emptyIsAbsent,
  idempotent,
  Name,
  NextCursor,
  nothing,
  nullable,
  page,
  strict,
  Time,
  UserId,
  userParams,
} from './common.ts';
import { endpoint } from './endpoint.ts';

export const User = strict({
  id: UserId,
  external_id: nullable(Type.String()),
  name: nullable(Type.String()),
  attributes: Attributes,
  created_at: Time,
});

export const createUser = endpoint({
  method: 'POST',
  path: '/api/users',
  id: 'createUser',
  tag: 'users',
  summary: 'Register a user',
  access: 'editor',
  body: strict({
    external_id: Type.Optional(nullable(ExternalId)),
    name: Type.Optional(nullable(Name)),
    attributes: Type.Optional(Attributes),
  }),
  headers: idempotent.headers,
  success: { status: 201, body: strict({ id: UserId }) },
  problems: ['external_id_taken', 'too_large', ...idempotent.problems],
});

export const listUsers = endpoint({
  method: 'GET',
  path: '/api/users',
  id: 'listUsers',
  tag: 'users',
  summary: 'Users, ordered by id; `query` looks for a part of the name or the external id, without regard to case',
  access: 'viewer',
  query: strict({ query: Type.Optional(emptyIsAbsent(Type.String({ maxLength: 255 }))), ...page }),
  success: { status: 200, body: strict({ users: Type.Array(User), next_cursor: NextCursor }) },
});

export const readUser = endpoint({
  method: 'GET',
  path: '/api/users/{user}',
  id: 'readUser',
  tag: 'users',
  summary: 'One user',
  access: 'self',
  params: userParams,
  success: { status: 200, body: User },
  problems: ['user_unknown'],
});

export const changeUser = endpoint({
  method: 'PATCH',
  path: '/api/users/{user}',
  id: 'changeUser',
  tag: 'users',
  summary: 'Change the name, or the attributes by JSON merge patch (RFC 7396); registers an unknown `ext:` id',
  access: 'editor',
  params: userParams,
  body: strict({ name: Type.Optional(nullable(Name)), attributes: Type.Optional(Attributes) }),
  success: { status: 200, body: User },
  problems: ['user_unknown', 'too_large'],
});

export const eraseUser = endpoint({
  method: 'DELETE',
  path: '/api/users/{user}',
  id: 'eraseUser',
  tag: 'users',
  summary: 'Erase a user: attributes, name, external id, overrides and account go; history keeps the bare id',
  access: 'editor',
  params: userParams,
  success: nothing,
  problems: ['user_unknown', 'last_admin'],
});
