import { imports as contract } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import { type ExportContext, type ExportFormat, openExport } from './exports.ts';

const types: Readonly<Record<ExportFormat, string>> = {
  csv: 'text/csv; charset=utf-8',
  ndjson: 'application/x-ndjson; charset=utf-8',
};

/** The weight of a type, 0 to 1: as much of RFC 9110, 12.5.1 as two types need. */
function weightOf(accept: string, type: string): number {
  const [group] = type.split('/');
  const ranges = accept.split(',').map((range) => {
    const [name = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const q = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    return { name, q: q === undefined ? 1 : Number(q) || 0 };
  });
  const found = [type, `${group}/*`, '*/*'].map((name) => ranges.find((range) => range.name === name));
  return found.find((range) => range !== undefined)?.q ?? 0;
}

/** CSV, unless NDJSON is wanted more. */
export function formatFor(accept: string | undefined): ExportFormat {
  if (accept === undefined) return 'csv';
  return weightOf(accept, 'application/x-ndjson') > weightOf(accept, 'text/csv') ? 'ndjson' : 'csv';
}

export function exportRoutes({ route }: Router, context: ExportContext): void {
  route(contract.exportMembers, async ({ params, request, reply }) => {
    const format = formatFor(request.headers.accept);
    const stream = await openExport(context, params.slug, format);
    reply
      .type(types[format])
      .header('vary', 'accept')
      .header('content-disposition', `attachment; filename="${params.slug}.${format}"`)
      .header('cache-control', 'no-store');
    await reply.send(stream);
    return undefined;
  });
}
