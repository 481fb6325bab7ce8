import { type Consistency, invalid, Problem, type UserRef } from '@kohort/contract';
import { AtMost } from '../../concurrency/at-most.ts';
import { resumed } from '../../http/resumed.ts';
import type { Database, Db } from '../../postgres/database.ts';
import { sourceOf } from '../history/history.ts';
import { tagsOfKey } from '../keys/keys.ts';
import { type ConsistentReader, type ReadContext, sweepExpired } from '../memberships/memberships.ts';
import { unknownSegment } from '../segments/segments.ts';
import { readUser } from '../users/users.ts';
import { csvLine } from './csv.ts';
import { createReportLinks, type ReportLinks } from './links.ts';
import { type ReportRow, reportQuery, slugWasEver } from './reports.sql.ts';

export { quote } from './csv.ts';

export interface ReportRequest {
  /** `2026-11`, in UTC. */
  readonly month?: string;
  readonly from?: Date;
  readonly to?: Date;
  readonly user?: UserRef;
  readonly segment?: string;
  /** The caller's key, if it has tags. */
  readonly key?: { readonly id: number; readonly tags: readonly string[] } | undefined;
}

export interface ReportContext {
  readonly db: Database;
  readonly readSet: ConsistentReader<ReadContext>;
  readonly links: ReportLinks;
  /** Each report holds a connection for as long as its reader takes. */
  readonly places: AtMost;
}

export function reportContext({
  db,
  readSet,
  secret,
}: Pick<ReportContext, 'db' | 'readSet'> & { readonly secret: string }): ReportContext {
  const refusal = 'Too many reports are being read. Try again shortly.';
  const places = new AtMost({ atOnce: 4, factor: 2, refusal, retryAfterSeconds: 5 });
  return { db, readSet, links: createReportLinks(secret), places };
}

const linkLivesMs = 60 * 60 * 1_000;
/** Small, since formatting a batch blocks the event loop. */
const batchRows = 200;
/** Long, since the first batch arrives only once the whole range is sorted. */
const statementTimeoutMs = 120_000;

const header = ['user_id', 'external_id', 'segment', 'operation', 'at', 'source', 'actor'];

function rangeOf({ month, from, to }: ReportRequest): { from: Date; to: Date } {
  if (month !== undefined) {
    if (from || to) throw invalid('/body/month', 'must not be combined with from or to');
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

/** A link, as the last part of its path, and when it expires. */
export async function createReport(
  { links }: ReportContext,
  within: Db,
  request: ReportRequest,
): Promise<{ link: string; expiresAt: Date }> {
  const range = rangeOf(request);
  const userId = request.user && (await readUser(within, request.user)).id;
  const { segment, key } = request;
  if (segment !== undefined && !(await slugWasEver(within, segment, key?.tags))) throw unknownSegment(segment);
  const expiresAt = new Date(Date.now() + linkLivesMs);
  return { link: links.sign({ ...range, userId, segment, keyId: key?.id }, expiresAt), expiresAt };
}

function unknownReport(): Problem {
  return new Problem('report_unknown', 'This link is not valid, or has expired. Create a new one.');
}

/**
 * The lines behind a link.
 * @throws Problem 404 for a link that is not ours or has expired.
 */
export async function* linesOfReport(
  { db, readSet, links, places }: ReportContext,
  link: string,
  /** Readers are anonymous, so the share is per address. */
  { address, consistency }: { readonly address: string; readonly consistency: Consistency },
): AsyncGenerator<string, void, undefined> {
  const scope = links.open(link, new Date());
  if (!scope) throw unknownReport();
  // The links of a revoked key are revoked too.
  const keyTags = scope.keyId === undefined ? undefined : await tagsOfKey(db, scope.keyId);
  if (scope.keyId !== undefined && !keyTags) throw unknownReport();
  const leave = places.enter(address);
  try {
    await sweepExpired(db);
    const rows = await readSet(consistency, (on) =>
      begun(
        on.db.stream<ReportRow>(reportQuery(scope, keyTags), {
          batch: batchRows,
          statementTimeout: statementTimeoutMs,
        }),
      ),
    );
    // The header is sent with the first rows, so that a failing query fails before the answer starts.
    let pending = csvLine(header);
    for await (const batch of rows) {
      yield pending + batch.map(lineOf).join('');
      pending = '';
    }
    if (pending !== '') yield pending;
  } finally {
    leave();
  }
}

/** Resolves once the first rows have arrived: until then another database can be used instead. */
async function begun<T>(rows: AsyncGenerator<T, void, undefined>): Promise<AsyncIterableIterator<T, void, undefined>> {
  return resumed(await rows.next(), rows);
}
