import { Readable } from 'node:stream';
import { reports as contract, parseTime, parseUserRef } from '@kohort/contract';
import { addressSubject } from '../../http/address.ts';
import { consistencyOf } from '../../http/consistency.ts';
import { baseUrlOf } from '../../http/host.ts';
import { resumed } from '../../http/resumed.ts';
import type { Router } from '../../http/route.ts';
import type { Once } from '../idempotency/idempotency.ts';
import { createReport, linesOfReport, type ReportContext } from './reports.ts';

export function reportRoutes({ route }: Router, context: ReportContext, once: Once): void {
  route(contract.createReport, ({ body: { from, to, user, ...body }, caller, idempotent, request }) => {
    const [first, last] = [from, to].map((text) => (text === undefined ? undefined : parseTime(text)));
    return once(idempotent, async (db) => {
      const { link, expiresAt } = await createReport(context, db, {
        ...body,
        ...(caller.keyId !== undefined && caller.tags && { key: { id: caller.keyId, tags: caller.tags } }),
        ...(first && { from: first }),
        ...(last && { to: last }),
        ...(user !== undefined && { user: parseUserRef(user, '/body/user') }),
      });
      return { url: `${baseUrlOf(request)}/api/reports/${link}`, expires_at: expiresAt.toISOString() };
    });
  });

  route(contract.downloadReport, async ({ params, request, reply }) => {
    const lines = linesOfReport(context, params.report, {
      address: addressSubject(request.ip),
      consistency: consistencyOf(request.headers),
    });
    // The first line is read before the answer starts, so that an early failure still gets its own status.
    const first = await lines.next();
    reply
      .type('text/csv; charset=utf-8')
      .header('content-disposition', 'attachment; filename="history.csv"')
      .header('cache-control', 'no-store');
    // A reader that disconnects, however early, must not keep a connection to the database.
    await reply.send(Readable.from(resumed(first, lines)));
    return undefined;
  });
}
