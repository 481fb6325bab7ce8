import { Readable } from 'node:stream';
import { imports as contract, parseTime } from '@kohort/contract';
import type { FastifyRequest } from 'fastify';
import type { Caller } from '../../http/caller.ts';
import type { IdempotentCall } from '../../http/idempotency.ts';
import type { Router } from '../../http/route.ts';
import { uploadOf } from '../../http/uploads.ts';
import type { OnceUploaded } from '../idempotency/idempotency.ts';
import type { Format } from './file-reader.ts';
import { type FileInput, type ImportsContext, importMembers, importUsers } from './imports.ts';

const formats: Readonly<Record<string, Format>> = {
  'text/tab-separated-values': 'tsv',
  'application/x-ndjson': 'ndjson',
  'application/ndjson': 'ndjson',
  'application/jsonl': 'ndjson',
};

interface UploadCall {
  readonly caller: Caller;
  readonly idempotent: IdempotentCall | undefined;
  readonly request: FastifyRequest;
}

export function importRoutes({ route }: Router, context: ImportsContext, once: OnceUploaded): void {
  function receive(
    { caller, idempotent, request, columns }: UploadCall & { columns: string | undefined },
    take: (file: FileInput) => Promise<number>,
  ): Promise<{ job: string }> {
    const { type, stream = Readable.from([]) } = uploadOf(request);
    const answer = (job: number) => ({ job: String(job) });
    return once<{ job: string }>(idempotent, stream, async (source, keep) => {
      const format = formats[type] ?? 'csv';
      const onReceived: FileInput['onReceived'] = (tx, job) => keep(tx, answer(job));
      const ignoreUnknown = columns === 'ignore';
      return answer(await take({ format, source, ignoreUnknown, actor: caller.actor, onReceived }));
    });
  }

  route(contract.importMembers, ({ params, query, ...call }) => {
    const { mode = 'add', unknown = 'reject', dry_run, expires_at, confirm = null } = query;
    const time = expires_at === undefined ? undefined : parseTime(expires_at);
    const options = { mode, unknown, dry_run: dry_run === 'true', expires_at: time?.toISOString() ?? null, confirm };
    return receive({ ...call, columns: query.columns }, (file) => importMembers(context, params.slug, options, file));
  });

  route(contract.importUsers, ({ query, ...call }) => {
    const options = { unknown: query.unknown ?? 'create', dry_run: query.dry_run === 'true' };
    return receive({ ...call, columns: query.columns }, (file) => importUsers(context, options, file));
  });
}
