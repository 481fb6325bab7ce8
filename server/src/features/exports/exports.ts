import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import { AtMost } from '../../concurrency/at-most.ts';
import { eachMember, type Member, type ReadContext } from '../memberships/memberships.ts';
import { quote } from '../reports/reports.ts';

export type ExportFormat = 'csv' | 'ndjson';

export interface ExportContext extends ReadContext {
  /** Each export holds a connection for as long as its reader takes. */
  readonly places: AtMost;
}

export function exportContext({ db, definitions }: ReadContext): ExportContext {
  const refusal = 'Too many exports are being read. Try again shortly.';
  return { db, definitions, places: new AtMost({ atOnce: 4, factor: 2, refusal, retryAfterSeconds: 5 }) };
}

/** Cells are not defused: what a spreadsheet might take for a formula is an id that has to come back as it was. */
const formats: Readonly<Record<ExportFormat, { header: string; line: (member: Member) => string }>> = {
  csv: {
    header: 'user_id,external_id,expires_at\n',
    line: ({ id, external_id, expires_at }) =>
      `${id},${external_id === null ? '' : quote(external_id)},${expires_at?.toISOString() ?? ''}\n`,
  },
  ndjson: {
    header: '',
    line: ({ id, external_id, expires_at }) =>
      `${JSON.stringify({ user_id: id, external_id, expires_at: expires_at?.toISOString() ?? null })}\n`,
  },
};

/** Begins to write; rejects while there is still time for an answer that says why. */
export async function openExport(
  context: ExportContext,
  { slug, format, caller }: { readonly slug: string; readonly format: ExportFormat; readonly caller: string },
): Promise<Readable> {
  const leave = context.places.enter(caller);
  const { header, line } = formats[format];
  const out = new PassThrough();
  const begun = Promise.withResolvers<void>();
  let isFirst = true;
  eachMember(context, slug, async (batch) => {
    const text = (isFirst ? header : '') + batch.map(line).join('');
    isFirst = false;
    begun.resolve();
    if (out.destroyed) throw new Error('the reader went away');
    // A slow reader slows the export down; one that leaves ends it.
    if (!out.write(text)) await Promise.race([once(out, 'drain'), once(out, 'close')]);
  })
    .then(
      () => out.end(),
      (error) => {
        begun.reject(error);
        out.destroy(error);
      },
    )
    .finally(leave);
  out.on('error', () => undefined);
  await begun.promise;
  return out;
}
