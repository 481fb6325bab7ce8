import Type from 'typebox';
import { described, idempotent, NextCursor, nothing, page, Slug, slugParams, strict } from './common.ts';
import { endpoint } from './endpoint.ts';

export const Layer = strict(
  {
    id: Type.Integer({ minimum: 1 }),
    slug: described(Slug, 'Unique among live layers; never changes.'),
    segments: Type.Array(strict({ slug: Slug, from: Type.Number(), to: Type.Number() }), {
      description: 'The segments that have a range of it, in the order of their ranges.',
    }),
  },
  {
    title: 'Layer',
    description: 'Divides users by its own salt: the segments of a layer have ranges that never overlap.',
  },
);

export const createLayer = endpoint({
  method: 'POST',
  path: '/api/layers',
  id: 'createLayer',
  tag: 'layers',
  summary: 'Create a layer',
  access: 'editor',
  body: strict({ slug: Slug }),
  headers: idempotent.headers,
  success: { status: 201, body: strict({ id: Type.Integer({ minimum: 1 }) }) },
  problems: ['slug_taken', ...idempotent.problems],
  example: { body: { slug: 'HOMEPAGE' }, answer: { id: 1 } },
});

export const listLayers = endpoint({
  method: 'GET',
  path: '/api/layers',
  id: 'listLayers',
  tag: 'layers',
  summary: 'Layers, ordered by slug',
  access: 'viewer',
  query: strict(page),
  success: {
    status: 200,
    body: strict({ layers: Type.Array(Layer), next_cursor: NextCursor }, { title: 'LayerPage' }),
  },
  example: {
    query: { limit: 100 },
    answer: { layers: [{ id: 1, slug: 'HOMEPAGE', segments: [] }], next_cursor: null },
  },
});

export const readLayer = endpoint({
  method: 'GET',
  path: '/api/layers/{slug}',
  id: 'readLayer',
  tag: 'layers',
  summary: 'One layer, with the segments that have a range of it',
  access: 'viewer',
  params: slugParams,
  success: { status: 200, body: Layer },
  problems: ['layer_unknown'],
  example: { params: { slug: 'HOMEPAGE' }, answer: { id: 1, slug: 'HOMEPAGE', segments: [] } },
});

export const deleteLayer = endpoint({
  method: 'DELETE',
  path: '/api/layers/{slug}',
  id: 'deleteLayer',
  tag: 'layers',
  summary: 'Delete a layer that no segment uses',
  access: 'editor',
  params: slugParams,
  success: nothing,
  problems: ['layer_unknown', 'layer_used'],
  example: { params: { slug: 'HOMEPAGE' } },
});
