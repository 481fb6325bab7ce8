import Type from 'typebox';
import { idempotent, Slug, strict, Time, UserRefText } from './common.ts';
import { endpoint } from './endpoint.ts';

export const createReport = endpoint({
  method: 'POST',
  path: '/api/reports',
  id: 'createReport',
  tag: 'reports',
  summary:
    'Make a link to a CSV of all changes within a month (UTC), or from a time (included) to a time (not included)',
  access: 'editor',
  body: strict({
    month: Type.Optional(Type.String({ pattern: '^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])$' })),
    from: Type.Optional(Time),
    to: Type.Optional(Time),
    user: Type.Optional(UserRefText),
    segment: Type.Optional(Slug),
  }),
  headers: idempotent.headers,
  success: { status: 201, body: strict({ url: Type.String({ format: 'uri' }), expires_at: Time }) },
  problems: ['user_unknown', 'segment_unknown', ...idempotent.problems],
});

export const downloadReport = endpoint({
  method: 'GET',
  path: '/api/reports/{report}',
  id: 'downloadReport',
  tag: 'reports',
  summary: 'The CSV behind such a link, oldest change first; the link itself is the credential',
  access: 'public',
  params: strict({ report: Type.String({ minLength: 1, maxLength: 512 }) }),
  success: { status: 200, body: null, media: 'text/csv' },
  problems: ['report_unknown', 'overloaded'],
});
