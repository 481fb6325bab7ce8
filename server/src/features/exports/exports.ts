import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import { Problem } from '@kohort/contract';
import type { Member, Members } from '../memberships/read/members-of-segment.ts';
import { quote } from '../reports/csv.ts';

export type ExportFormat = 'csv' | 'ndjson';

export interface Exports {
  /** Begins to write; rejects while there is still time for an answer that says why. */
  open(slug: string, format: ExportFormat): Promise<Readable>;
}

/** Each holds a connection for as long as its reader takes. */
const MAX_AT_ONCE = 4;

/** Cells are not defused: what a spreadsheet might take for a formula is an id that has to come back as it was. */
const FORMATS: Readonly<Record<ExportFormat, { header: string; line: (member: Member) => string }>> = {
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

export function createExports(members: Members): Exports {
  let open = 0;

  return {
    async open(slug, format) {
      if (open >= MAX_AT_ONCE) {
        throw new Problem('overloaded', 'Too many exports are being read. Try again shortly.', { retryAfter: 5 });
      }
      open++;
      const { header, line } = FORMATS[format];
      const out = new PassThrough();
      const begun = Promise.withResolvers<void>();
      let isFirst = true;
      members
        .each(slug, async (batch) => {
          const text = (isFirst ? header : '') + batch.map(line).join('');
          isFirst = false;
          begun.resolve();
          if (out.destroyed) throw new Error('the reader went away');
          // A slow reader slows us down; one that leaves ends it.
          if (!out.write(text)) await Promise.race([once(out, 'drain'), once(out, 'close')]);
        })
        .then(
          () => out.end(),
          (error) => {
            begun.reject(error);
            out.destroy(error);
          },
        )
        .finally(() => open--);
      out.on('error', () => undefined);
      await begun.promise;
      return out;
    },
  };
}
