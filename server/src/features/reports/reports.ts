import { invalid, Problem, type UserRef } from '@kohort/contract';
import type { Database, Db } from '../../postgres/database.ts';
import { sourceOf } from '../history/history.ts';
import { sweepExpired } from '../memberships/write/expiry-and-purge.ts';
import { unknownSegment } from '../segments/segments.ts';
import type { Users } from '../users/users.ts';
import { csvLine } from './csv.ts';
import { createReportLinks } from './links.ts';
import { type ReportRow, reportQuery, slugWasEver } from './reports.sql.ts';

export interface ReportRequest {
  /** `2026-11`, in UTC. */
  readonly month?: string;
  readonly from?: Date;
  readonly to?: Date;
  readonly user?: UserRef;
  readonly segment?: string;
}

export interface Reports {
  /** A link, as the last part of its path, and when it ceases to work. */
  create(within: Db, request: ReportRequest): Promise<{ link: string; expiresAt: Date }>;
  /** @throws Problem 404 for a link that is not ours, or not any more. */
  open(link: string): AsyncIterable<string>;
}

const LINK_LIVES = 60 * 60 * 1_000;
/** Each is a moment in which nobody else is served. */
const BATCH = 200;
/** The first batch waits for the whole range to be sorted. */
const STATEMENT_TIMEOUT = 120_000;
/** Each holds a connection for as long as its reader takes. */
const MAX_AT_ONCE = 4;

const HEADER = ['user_id', 'external_id', 'segment', 'operation', 'at', 'source', 'actor'];

function rangeOf({ month, from, to }: ReportRequest): { from: Date; to: Date } {
  if (month !== undefined) {
    if (from || to) throw invalid('/body/month', 'stands alone, without from and to');
    const [year = 0, number = 0] = month.split('-').map(Number);
    return { from: new Date(Date.UTC(year, number - 1)), to: new Date(Date.UTC(year, number)) };
  }
  if (!from || !to) throw invalid('/body', 'must have month, or both from and to');
  if (from >= to) throw invalid('/body/from', 'must be before to');
  return { from, to };
}

function lineOf(row: ReportRow): string {
  return csvLine([
    String(row.user_id),
    row.external_id ?? '',
    row.segment,
    row.op,
    row.at.toISOString(),
    sourceOf(row),
    row.actor,
  ]);
}

export function createReports({ db, users, secret }: { db: Database; users: Users; secret: string }): Reports {
  const links = createReportLinks(secret);
  let open = 0;

  async function* linesOf(link: string): AsyncGenerator<string, void, undefined> {
    const scope = links.open(link, new Date());
    if (!scope) throw new Problem('report_unknown', 'This link does not work, or not any more. Make a new one.');
    if (open >= MAX_AT_ONCE) {
      throw new Problem('overloaded', 'Too many reports are being read. Try again shortly.', { retryAfter: 5 });
    }
    open++;
    try {
      await sweepExpired(db);
      const rows = db.stream<ReportRow>(reportQuery(scope), { batch: BATCH, statementTimeout: STATEMENT_TIMEOUT });
      // The header leaves with the first rows, so that a query that fails fails before anything was answered.
      let pending = csvLine(HEADER);
      for await (const batch of rows) {
        yield pending + batch.map(lineOf).join('');
        pending = '';
      }
      if (pending !== '') yield pending;
    } finally {
      open--;
    }
  }

  return {
    async create(within, request) {
      const range = rangeOf(request);
      const userId = request.user && (await users.read(request.user, within)).id;
      const { segment } = request;
      if (segment !== undefined && !(await slugWasEver(within, segment))) throw unknownSegment(segment);
      const expiresAt = new Date(Date.now() + LINK_LIVES);
      return { link: links.sign({ ...range, userId, segment }, expiresAt), expiresAt };
    },
    open: linesOf,
  };
}
