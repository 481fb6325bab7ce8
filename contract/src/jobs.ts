import Type from 'typebox';
import { idParams, maxJobErrors, nullable, strict, Time } from './common.ts';
import { endpoint } from './endpoint.ts';

const Count = Type.Integer({ minimum: 0 });

export const JobState = Type.Enum(['receiving', 'queued', 'running', 'done', 'failed', 'cancelled']);

export const Job = strict({
  id: Type.String({ pattern: '^[1-9][0-9]{0,15}$' }),
  kind: Type.Enum(['segment_import', 'user_import']),
  state: JobState,
  rows: Type.Integer({ minimum: 0, description: 'Rows of data received.' }),
  processed: Type.Integer({ minimum: 0, description: 'Rows applied so far; visible to readers when all are.' }),
  added: Count,
  updated: Count,
  removed: Count,
  unchanged: Count,
  errors: Type.Array(
    strict({
      line: nullable(
        Type.Integer({ minimum: 1, description: 'In the file, from 1; null where it is no line that is wrong.' }),
      ),
      message: Type.String(),
    }),
    { maxItems: maxJobErrors },
  ),
  created_at: Time,
  finished_at: nullable(Time),
});

export const readJob = endpoint({
  method: 'GET',
  path: '/api/jobs/{id}',
  id: 'readJob',
  tag: 'jobs',
  summary: 'How far a job is, and what came of it',
  access: 'viewer',
  params: idParams,
  success: { status: 200, body: Job },
  problems: ['job_unknown'],
});

export const followJob = endpoint({
  method: 'GET',
  path: '/api/jobs/{id}/events',
  id: 'followJob',
  tag: 'jobs',
  summary: 'A job as server-sent events, one for each change, until it ends',
  access: 'viewer',
  params: idParams,
  success: { status: 200, body: null, media: 'text/event-stream' },
  problems: ['job_unknown', 'overloaded'],
});

export const cancelJob = endpoint({
  method: 'DELETE',
  path: '/api/jobs/{id}',
  id: 'cancelJob',
  tag: 'jobs',
  summary: 'Cancel a job that has not ended: nothing of it happens',
  access: 'editor',
  params: idParams,
  success: { status: 200, body: Job },
  problems: ['job_unknown', 'job_finished'],
});
