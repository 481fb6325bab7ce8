import { imports as contract } from '@kohort/contract';
import Negotiator from 'negotiator';
import { consistencyOf } from '../../http/consistency.ts';
import type { Router } from '../../http/route.ts';
import { type ExportContext, type ExportFormat, openExport } from './exports.ts';

const types: Readonly<Record<ExportFormat, string>> = {
  csv: 'text/csv; charset=utf-8',
  ndjson: 'application/x-ndjson; charset=utf-8',
};

/** CSV, unless the caller prefers NDJSON. */
export function formatFor(accept: string | undefined): ExportFormat {
  if (accept === undefined) return 'csv';
  const negotiator = new Negotiator({ headers: { accept } });
  return negotiator.mediaType(['text/csv', 'application/x-ndjson']) === 'application/x-ndjson' ? 'ndjson' : 'csv';
}

export function exportRoutes({ route }: Router, context: ExportContext): void {
  route(contract.exportMembers, async ({ params, caller, request, reply }) => {
    const format = formatFor(request.headers.accept);
    const stream = await openExport(context, {
      slug: params.slug,
      format,
      caller: caller.actor,
      consistency: consistencyOf(request.headers),
    });
    reply
      .type(types[format])
      .header('vary', 'accept')
      .header('content-disposition', `attachment; filename="${params.slug}.${format}"`)
      .header('cache-control', 'no-store');
    await reply.send(stream);
    return undefined;
  });
}
