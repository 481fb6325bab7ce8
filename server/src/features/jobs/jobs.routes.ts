import { Readable } from 'node:stream';
import { jobs as contract, Problem, parseId } from '@kohort/contract';
import type { FastifyReply } from 'fastify';
import type { Caller } from '../../http/caller.ts';
import { sendPieces } from '../../http/json-pieces.ts';
import type { Router } from '../../http/route.ts';
import type { JobEntry, ShownJob } from '../../jobs/queue.ts';
import type { Cursors } from '../../paging/cursors.ts';
import type { Db } from '../../postgres/database.ts';
import type { Once } from '../idempotency/idempotency.ts';
import { queueUndo } from '../imports/imports.ts';
import { seenIds } from '../segments/segments.ts';
import { cancelJob, type Following, followJob, listJobs, readJob, unknownJob } from './jobs.ts';

function progressOf(job: JobEntry | (ShownJob & { readonly dry_run: boolean })) {
  return {
    id: String(job.id),
    kind: job.kind,
    state: job.state,
    segment: job.segment,
    dry_run: job.dry_run,
    actor: job.actor,
    rows: job.rows,
    processed: job.processed,
    added: job.added,
    updated: job.updated,
    removed: job.removed,
    unchanged: job.unchanged,
    skipped: job.skipped,
    lapsed: job.lapsed,
    kept: job.kept,
  };
}

function timesOf({ created_at, finished_at }: Pick<ShownJob, 'created_at' | 'finished_at'>) {
  return { created_at: created_at.toISOString(), finished_at: finished_at?.toISOString() ?? null };
}

/** A job as JSON. The result of a question is passed on as PostgreSQL writes it: to read and write it again takes a long turn. */
function* piecesOf(job: ShownJob): Generator<string> {
  const { dry_run = false } = job.options as { readonly dry_run?: boolean };
  const shown = JSON.stringify({ ...progressOf({ ...job, dry_run }), errors: job.errors, ...timesOf(job) });
  if (job.result === null) {
    yield shown;
    return;
  }
  yield `${shown.slice(0, -1)},"result":`;
  yield job.result;
  yield '}';
}

function entryOnWire(job: JobEntry) {
  return { ...progressOf(job), error: job.error, ...timesOf(job) };
}

function idOf(text: string): number {
  const id = parseId(text);
  if (id === undefined) throw unknownJob();
  return id;
}

async function* events(
  first: ShownJob | undefined,
  rest: AsyncGenerator<ShownJob | undefined>,
): AsyncGenerator<string> {
  const write = (job: ShownJob | undefined) => (job ? `data: ${[...piecesOf(job)].join('')}\n\n` : ': still here\n\n');
  yield write(first);
  for await (const job of rest) yield write(job);
}

/** Aborted when the reader disconnects or the answer is complete. */
function leaving({ raw: response }: FastifyReply): AbortSignal {
  const left = new AbortController();
  response.once('close', () => left.abort());
  if (response.closed) left.abort();
  return left.signal;
}

export interface JobRoutes {
  readonly following: Following;
  readonly db: Db;
  readonly cursors: Cursors;
  readonly once: Once;
  /** Called after the commit of a transaction that queued a job. */
  readonly onQueued: () => void;
}

export function jobRoutes({ route }: Router, { following, db, cursors, once, onQueued }: JobRoutes): void {
  /** A key with tags sees the jobs of the segments that it sees. */
  async function findFor({ tags, actor }: Caller, text: string): Promise<number> {
    const id = idOf(text);
    if (!tags) return id;
    const { segment_id, kind, actor: asker } = await readJob(db, id);
    // The result of a question may concern segments that the key does not see.
    if (kind === 'question' && asker !== actor) throw unknownJob();
    if (segment_id !== null && !(await seenIds(db, tags, [segment_id])).has(segment_id)) throw unknownJob();
    return id;
  }

  route(contract.listJobs, async ({ query, caller: { tags, actor } }) => {
    const { state, kind, segment, ...page } = query;
    const found = await listJobs({ db, cursors }, { state, kind, segment, key: tags && { tags, actor }, ...page });
    return { jobs: found.jobs.map(entryOnWire), next_cursor: found.next_cursor };
  });

  route(contract.readJob, async ({ params, caller, reply }) =>
    sendPieces(reply, piecesOf(await readJob(db, await findFor(caller, params.id)))),
  );

  route(contract.cancelJob, async ({ params, caller, reply }) =>
    sendPieces(reply, piecesOf(await cancelJob(db, await findFor(caller, params.id)))),
  );

  route(contract.undoJob, async ({ params, query, caller, idempotent }) => {
    const id = await findFor(caller, params.id);
    // The undo may erase users, which such a key may not do otherwise.
    if (caller.tags && (await readJob(db, id)).segment_id === null) {
      throw new Problem('forbidden', 'A key with tags may not undo an import of users.');
    }
    const options = { dryRun: query.dry_run === 'true', actor: caller.actor };
    const job = await once(idempotent, async (tx) => ({ job: String(await queueUndo(tx, id, options)) }));
    onQueued();
    return job;
  });

  route(contract.followJob, async ({ params, caller, reply }) => {
    const left = leaving(reply);
    const found = followJob(following, await findFor(caller, params.id), { caller: caller.actor, left });
    // Read before the answer begins, so that an unknown job is a 404.
    const first = await found.next();
    if (left.aborted) return undefined;
    reply
      .type('text/event-stream; charset=utf-8')
      .header('cache-control', 'no-store')
      .header('x-accel-buffering', 'no');
    await reply.send(Readable.from(events(first.done ? undefined : first.value, found)));
    return undefined;
  });
}
