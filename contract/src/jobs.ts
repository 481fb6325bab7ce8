import Type from 'typebox';
import {
  emptyIsAbsent,
  idempotent,
  idParams,
  maxJobErrors,
  NextCursor,
  nullable,
  page,
  Slug,
  strict,
  Time,
} from './common.ts';
import { endpoint } from './endpoint.ts';

export const JobState = Type.Enum(['receiving', 'queued', 'running', 'done', 'failed', 'cancelled']);

/** The description and progress of a job. */
const progress = {
  id: Type.String({ pattern: '^[1-9][0-9]{0,15}$' }),
  kind: Type.String({
    description: 'segment_import, user_import, one of them with _undo, or question; more may be added.',
  }),
  state: JobState,
  segment: nullable({
    ...Slug,
    description: 'The segment that it concerns, by its current or last slug; null if there is none.',
  }),
  dry_run: Type.Boolean({ description: 'Whether it only counts what would change.' }),
  actor: Type.String({ description: 'The caller who started it: `user:<id>`, `key:<id>` or `anonymous`.' }),
  rows: Type.Integer({
    minimum: 0,
    description: 'Rows of data received. For a question, the id of the last user, once it is known.',
  }),
  processed: Type.Integer({
    minimum: 0,
    description:
      'Rows applied so far; readers see them once all are applied. For a question, the id of the last user it has looked at.',
  }),
  added: Type.Integer({ minimum: 0, description: 'Users who were out and are in.' }),
  updated: Type.Integer({ minimum: 0, description: 'Users who got another expiry, name or attributes.' }),
  removed: Type.Integer({ minimum: 0, description: 'Users who were in and are out.' }),
  unchanged: Type.Integer({ minimum: 0, description: 'Users who already were as in the file.' }),
  skipped: Type.Integer({ minimum: 0, description: 'Rows about users who do not exist.' }),
  lapsed: Type.Integer({ minimum: 0, description: 'Users whose expiry passed before the file was applied.' }),
  kept: Type.Integer({
    minimum: 0,
    description: 'Users that an undo skipped, since they were changed after the import.',
  }),
};
const times = { created_at: Time, finished_at: nullable(Time) };

export const Job = strict(
  {
    ...progress,
    errors: Type.Array(
      strict({
        line: nullable(
          Type.Integer({
            minimum: 1,
            description: 'The line of the file, from 1; null if the error does not concern one line.',
          }),
        ),
        message: Type.String(),
        level: Type.Optional(
          Type.Enum(['warning'], { description: 'For a row that did not fail the job; absent for an error.' }),
        ),
      }),
      { maxItems: maxJobErrors },
    ),
    result: Type.Optional(
      Type.Unknown({ description: 'For a finished question: the answer that the call would have had.' }),
    ),
    ...times,
  },
  { title: 'Job', description: 'Work that takes longer than a call: an import, its undo, a large question.' },
);

export const JobEntry = strict(
  {
    ...progress,
    error: nullable(Type.String({ description: 'Why it failed: the first of its `errors`.' })),
    ...times,
  },
  { title: 'JobEntry', description: 'A job in lists, without `errors` and `result`.' },
);

const counts = { added: 0, updated: 0, removed: 0, unchanged: 0, skipped: 0, lapsed: 0, kept: 0 };
const time = '2026-11-26T08:00:00.000Z';
const userImport = {
  id: '1',
  kind: 'user_import',
  state: 'done',
  segment: null,
  dry_run: false,
  actor: 'user:1',
  rows: 2,
  processed: 2,
  ...counts,
  added: 2,
} as const;

export const listJobs = endpoint({
  method: 'GET',
  path: '/api/jobs',
  id: 'listJobs',
  tag: 'jobs',
  summary: 'Jobs, newest first',
  description: `Those of everybody: who may read may also see who imported what. A key with tags gets the jobs of the segments that
it sees, and of the others those that it began itself. What ended more than \`JOB_RETENTION\` days ago is gone.`,
  access: 'viewer',
  taggedKeys: 'handled',
  query: strict({
    state: Type.Optional(emptyIsAbsent({ ...JobState, description: 'Only jobs in this state.' })),
    kind: Type.Optional(
      emptyIsAbsent(Type.String({ pattern: '^[a-z_]{1,64}$', description: 'Only jobs of this kind.' })),
    ),
    segment: Type.Optional(
      emptyIsAbsent({ ...Slug, description: 'Only jobs that concern this segment; for a deleted one, its last slug.' }),
    ),
    ...page,
  }),
  success: {
    status: 200,
    body: strict({ jobs: Type.Array(JobEntry), next_cursor: NextCursor }),
  },
  example: {
    query: { state: 'done', kind: 'user_import' },
    answer: {
      jobs: [{ ...userImport, error: null, created_at: time, finished_at: time }],
      next_cursor: null,
    },
  },
});

export const readJob = endpoint({
  method: 'GET',
  path: '/api/jobs/{id}',
  id: 'readJob',
  tag: 'jobs',
  summary: 'The progress and outcome of a job',
  access: 'viewer',
  taggedKeys: 'handled',
  params: idParams('The id of the job.'),
  success: { status: 200, body: Job },
  problems: ['job_unknown'],
  example: {
    params: { id: '1' },
    answer: { ...userImport, errors: [], created_at: time, finished_at: time },
  },
});

export const followJob = endpoint({
  method: 'GET',
  path: '/api/jobs/{id}/events',
  id: 'followJob',
  tag: 'jobs',
  summary: 'A job as server-sent events, one for each change, until it ends',
  access: 'viewer',
  taggedKeys: 'handled',
  params: idParams('The id of the job.'),
  success: { status: 200, body: null, media: 'text/event-stream' },
  problems: ['job_unknown', 'overloaded'],
  example: {
    params: { id: '1' },
    answer:
      'data: {"id":"1","kind":"user_import","state":"done","segment":null,"dry_run":false,"actor":"user:1","rows":2,"processed":2,' +
      '"added":2,"updated":0,"removed":0,"unchanged":0,"skipped":0,"lapsed":0,"kept":0,"errors":[],' +
      `"created_at":"${time}","finished_at":"${time}"}\n\n`,
  },
});

export const cancelJob = endpoint({
  method: 'DELETE',
  path: '/api/jobs/{id}',
  id: 'cancelJob',
  tag: 'jobs',
  summary: 'Cancel a job that has not ended: it has no effect',
  access: 'editor',
  taggedKeys: 'handled',
  params: idParams('The id of the job.'),
  success: { status: 200, body: Job },
  problems: ['job_unknown', 'job_finished'],
  example: {
    params: { id: '5' },
    answer: {
      id: '5',
      kind: 'segment_import',
      state: 'cancelled',
      segment: 'FREE_SHIPPING',
      dry_run: false,
      actor: 'user:1',
      rows: 0,
      processed: 0,
      ...counts,
      errors: [],
      created_at: time,
      finished_at: time,
    },
  },
});

export const undoJob = endpoint({
  method: 'POST',
  path: '/api/jobs/{id}/undo',
  id: 'undoJob',
  tag: 'jobs',
  summary: 'Undo an import: restore the previous state of each user it changed, unless changed since; as another job',
  access: 'editor',
  taggedKeys: 'handled',
  params: idParams('The id of the import.'),
  query: strict({
    dry_run: Type.Optional(
      Type.Enum(['true', 'false'], { description: 'Only report what would change. Default false.' }),
    ),
  }),
  headers: idempotent.headers,
  success: {
    status: 202,
    body: strict({ job: Type.String({ description: 'Its id: `GET /api/jobs/{id}` reports its progress.' }) }),
  },
  problems: ['job_unknown', 'job_not_undoable', ...idempotent.problems],
  example: { params: { id: '1' }, query: { dry_run: 'true' }, answer: { job: '4' } },
});
