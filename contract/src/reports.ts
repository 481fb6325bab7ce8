import Type from 'typebox';
import { described, idempotent, Slug, strict, Time, UserRefText } from './common.ts';
import { endpoint } from './endpoint.ts';

export const createReport = endpoint({
  method: 'POST',
  path: '/api/reports',
  id: 'createReport',
  tag: 'reports',
  summary:
    'Create a link to a CSV of all changes within a month (UTC), or from a time (inclusive) to a time (exclusive)',
  access: 'editor',
  taggedKeys: 'handled',
  body: strict({
    month: Type.Optional(
      Type.String({
        pattern: '^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])$',
        description: 'Instead of `from` and `to`.',
      }),
    ),
    from: Type.Optional(Time),
    to: Type.Optional(Time),
    user: Type.Optional(described(UserRefText, 'Only changes of this user: `2` or `ext:shopper-4`.')),
    segment: Type.Optional(described(Slug, 'Only changes in this segment.')),
  }),
  headers: idempotent.headers,
  success: {
    status: 201,
    body: strict({ url: Type.String({ format: 'uri' }), expires_at: Time }, { title: 'Report' }),
  },
  problems: ['user_unknown', 'segment_unknown', ...idempotent.problems],
  example: {
    body: { from: '2026-01-01T00:00:00Z', to: '2100-01-01T00:00:00Z', segment: 'AVITO_DISCOUNT_50' },
    answer: {
      url: 'https://kohort.example.com/api/reports/eyJmcm9tIjoiMjAyNi4uLiJ9',
      expires_at: '2026-11-26T08:00:00.000Z',
    },
  },
});

export const downloadReport = endpoint({
  method: 'GET',
  path: '/api/reports/{report}',
  id: 'downloadReport',
  consistent: true,
  tag: 'reports',
  summary: 'The CSV of such a link, oldest change first; the link is the credential',
  access: 'public',
  params: strict({ report: Type.String({ minLength: 1, maxLength: 512, description: 'The last part of the link.' }) }),
  success: { status: 200, body: null, media: 'text/csv' },
  problems: ['report_unknown', 'overloaded'],
  example: {
    params: { report: 'eyJmcm9tIjoiMjAyNi4uLiJ9' },
    answer:
      'user_id,external_id,segment,operation,at,source,actor\n' +
      '3,shopper-4,AVITO_DISCOUNT_50,add,2026-11-26T08:00:00.000Z,include,user:1\n',
  },
});
