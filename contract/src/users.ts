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

export const User = strict(
  {
    id: UserId,
    external_id: nullable(Type.String({ description: 'The id of the user in your systems; immutable.' })),
    name: nullable(Type.String()),
    attributes: Attributes,
    created_at: Time,
  },
  { title: 'User', description: 'A user of the application.' },
);

export const createUser = endpoint({
  method: 'POST',
  path: '/api/users',
  id: 'createUser',
  tag: 'users',
  summary: 'Register a user',
  access: 'editor',
  taggedKeys: 'free',
  body: strict({
    external_id: Type.Optional(nullable(ExternalId)),
    name: Type.Optional(nullable(Name)),
    attributes: Type.Optional(Attributes),
  }),
  headers: idempotent.headers,
  success: { status: 201, body: strict({ id: UserId }) },
  problems: ['external_id_taken', 'too_large', ...idempotent.problems],
  example: {
    body: { external_id: 'shopper-6', name: 'Joan', attributes: { country: 'BE', orders: 1 } },
    answer: { id: 5 },
  },
});

export const listUsers = endpoint({
  method: 'GET',
  path: '/api/users',
  id: 'listUsers',
  tag: 'users',
  summary: 'Users by id; `query` searches in name and external id, case-insensitively',
  access: 'viewer',
  taggedKeys: 'free',
  query: strict({
    query: Type.Optional(
      emptyIsAbsent(
        Type.String({ maxLength: 255, description: 'A part of the name or the external id, case-insensitive.' }),
      ),
    ),
    ...page,
  }),
  success: { status: 200, body: strict({ users: Type.Array(User), next_cursor: NextCursor }, { title: 'UserPage' }) },
  example: {
    query: { query: 'shopper', limit: 100 },
    answer: {
      users: [
        {
          id: 3,
          external_id: 'shopper-4',
          name: null,
          attributes: { country: 'NL', orders: 5 },
          created_at: '2026-11-26T08:00:00.000Z',
        },
        {
          id: 4,
          external_id: 'shopper-5',
          name: null,
          attributes: { country: 'DE' },
          created_at: '2026-11-26T08:00:00.000Z',
        },
      ],
      next_cursor: null,
    },
  },
});

export const readUser = endpoint({
  method: 'GET',
  path: '/api/users/{user}',
  id: 'readUser',
  tag: 'users',
  summary: 'One user',
  access: 'self',
  taggedKeys: 'free',
  params: userParams,
  success: { status: 200, body: User },
  problems: ['user_unknown'],
  example: {
    params: { user: 'ext:shopper-4' },
    answer: {
      id: 3,
      external_id: 'shopper-4',
      name: null,
      attributes: { country: 'NL', orders: 5 },
      created_at: '2026-11-26T08:00:00.000Z',
    },
  },
});

export const changeUser = endpoint({
  method: 'PATCH',
  path: '/api/users/{user}',
  id: 'changeUser',
  tag: 'users',
  summary: 'Change the name, or the attributes by JSON merge patch (RFC 7396); registers an unknown `ext:` id',
  access: 'editor',
  taggedKeys: 'free',
  params: userParams,
  body: strict({ name: Type.Optional(nullable(Name)), attributes: Type.Optional(Attributes) }),
  success: { status: 200, body: User },
  problems: ['user_unknown', 'too_large'],
  example: {
    params: { user: 'ext:shopper-4' },
    body: { name: 'Sam', attributes: { orders: 6, country: null } },
    answer: {
      id: 3,
      external_id: 'shopper-4',
      name: 'Sam',
      attributes: { orders: 6 },
      created_at: '2026-11-26T08:00:00.000Z',
    },
  },
});

export const eraseUser = endpoint({
  method: 'DELETE',
  path: '/api/users/{user}',
  id: 'eraseUser',
  tag: 'users',
  summary: 'Erase a user: deletes attributes, name, external id, overrides and account; history keeps only the id',
  access: 'editor',
  params: userParams,
  success: nothing,
  problems: ['user_unknown', 'last_admin'],
  example: { params: { user: 'ext:shopper-5' } },
});
