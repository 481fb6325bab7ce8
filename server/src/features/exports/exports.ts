import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import type { Consistency } from '@kohort/contract';
import { AtMost } from '../../concurrency/at-most.ts';
import { type ConsistentReader, eachMember, type Member, type ReadContext } from '../memberships/memberships.ts';
import { quote } from '../reports/reports.ts';

export type ExportFormat = 'csv' | 'ndjson';

export interface ExportContext {
  readonly readSet: ConsistentReader<ReadContext>;
  /** Each export holds a connection for as long as its reader takes. */
  readonly places: AtMost;
}

export function exportContext(readSet: ConsistentReader<ReadContext>): ExportContext {
  const refusal = 'Too many exports are being read. Try again shortly.';
  return { readSet, places: new AtMost({ atOnce: 4, factor: 2, refusal, retryAfterSeconds: 5 }) };
}

/** Cells that look like formulas are not escaped: they are ids, which must survive a round trip unchanged. */
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

export interface Export {
  readonly slug: string;
  readonly format: ExportFormat;
  readonly caller: string;
  readonly consistency: Consistency;
}

/** Starts to write. Rejects if the first rows fail, when a problem can still be sent. */
export async function openExport({ readSet, places }: ExportContext, asked: Export): Promise<Readable> {
  const leave = places.enter(asked.caller);
  try {
    return await readSet(asked.consistency, (on) => begin(on, asked, leave));
  } catch (error) {
    leave();
    throw error;
  }
}

/** Calls `onEnd` when the export has ended. */
async function begin(context: ReadContext, { slug, format }: Export, onEnd: () => void): Promise<Readable> {
  const { header, line } = formats[format];
  const out = new PassThrough();
  const begun = Promise.withResolvers<void>();
  let isFirst = true;
  const written = eachMember(context, slug, async (batch) => {
    const text = (isFirst ? header : '') + batch.map(line).join('');
    isFirst = false;
    begun.resolve();
    if (out.destroyed) throw new Error('the reader disconnected');
    // A slow reader slows the export down; one that disconnects ends it.
    if (!out.write(text)) await Promise.race([once(out, 'drain'), once(out, 'close')]);
  }).then(
    () => out.end(),
    (error) => {
      begun.reject(error);
      out.destroy(error);
    },
  );
  out.on('error', () => undefined);
  await begun.promise;
  void written.finally(onEnd);
  return out;
}
