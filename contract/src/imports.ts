import Type from 'typebox';
import { described, idempotent, slugParams, strict, Time } from './common.ts';
import { endpoint } from './endpoint.ts';

/** The first ones are the formats of exports. */
export const exportTypes = ['text/csv', 'application/x-ndjson'] as const;
export const importTypes = [
  ...exportTypes,
  'application/csv',
  'text/tab-separated-values',
  'application/ndjson',
  'application/jsonl',
] as const;

const DryRun = Type.Enum(['true', 'false'], { description: 'Only report what would change. Default false.' });
const Columns = Type.Enum(['reject', 'ignore'], {
  description: 'How to treat unknown columns or fields. Default reject.',
});
const Accepted = strict(
  { job: Type.String({ description: 'Its id: `GET /api/jobs/{id}` reports its progress.' }) },
  { title: 'JobAccepted' },
);

export const importMembers = endpoint({
  method: 'POST',
  path: '/api/segments/{slug}/import',
  id: 'importMembers',
  tag: 'imports',
  summary: 'Add the users of a file to a segment, remove them, or make them its only members; all or nothing',
  access: 'editor',
  taggedKeys: 'segment',
  params: slugParams,
  query: strict({
    mode: Type.Optional(
      Type.Enum(['add', 'remove', 'replace'], { description: 'What to do with the users of the file. Default add.' }),
    ),
    unknown: Type.Optional(
      Type.Enum(['create', 'reject', 'skip'], {
        description: 'How to treat users who do not exist. Default reject. Only external ids can be created.',
      }),
    ),
    columns: Type.Optional(Columns),
    dry_run: Type.Optional(DryRun),
    confirm: Type.Optional(
      Type.Enum(['empty'], { description: 'Confirms that mode=replace with a file without rows empties the segment.' }),
    ),
    expires_at: Type.Optional(described(Time, 'For rows that name no time of their own (RFC 3339).')),
  }),
  uploads: importTypes,
  headers: idempotent.headers,
  success: { status: 202, body: Accepted },
  problems: ['segment_unknown', 'overloaded', ...idempotent.problems],
  example: {
    params: { slug: 'AVITO_DISCOUNT_50' },
    query: { mode: 'add', unknown: 'create', dry_run: 'true' },
    upload: 'external_id\nshopper-4\nshopper-5\n',
    answer: { job: '2' },
  },
});

export const importUsers = endpoint({
  method: 'POST',
  path: '/api/users/import',
  id: 'importUsers',
  tag: 'imports',
  summary: 'Register users, and change their names and attributes by merge patch; all or nothing',
  access: 'editor',
  taggedKeys: 'free',
  query: strict({
    unknown: Type.Optional(
      Type.Enum(['create', 'reject', 'skip'], {
        description: 'How to treat users who do not exist. Default create.',
      }),
    ),
    columns: Type.Optional(Columns),
    dry_run: Type.Optional(DryRun),
  }),
  uploads: importTypes,
  headers: idempotent.headers,
  success: { status: 202, body: Accepted },
  problems: ['overloaded', ...idempotent.problems],
  example: {
    query: { dry_run: 'true' },
    upload: 'external_id,country,orders\nshopper-4,NL,6\nshopper-7,FR,2\n',
    answer: { job: '3' },
  },
});

export const exportMembers = endpoint({
  method: 'GET',
  path: '/api/segments/{slug}/export',
  id: 'exportMembers',
  consistent: true,
  tag: 'imports',
  summary: 'All members of a segment now, by id, as a file that can be imported again; CSV unless NDJSON is accepted',
  access: 'viewer',
  taggedKeys: 'segment',
  params: slugParams,
  success: { status: 200, body: null, media: exportTypes },
  problems: ['segment_unknown', 'overloaded'],
  example: {
    params: { slug: 'AVITO_DISCOUNT_50' },
    answer: 'user_id,external_id,expires_at\n3,shopper-4,\n',
  },
});
