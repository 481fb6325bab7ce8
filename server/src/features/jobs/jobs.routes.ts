import { Readable } from 'node:stream';
import { jobs as contract, Problem, parseId } from '@kohort/contract';
import type { FastifyReply } from 'fastify';
import type { Caller } from '../../http/caller.ts';
import type { Router } from '../../http/route.ts';
import type { JobRow } from '../../jobs/queue.ts';
import type { Db } from '../../postgres/database.ts';
import type { Once } from '../idempotency/idempotency.ts';
import { queueUndo } from '../imports/imports.ts';
import { seenIds } from '../segments/segments.ts';
import { cancelJob, type Following, followJob, readJob, unknownJob } from './jobs.ts';

export function onWire(job: JobRow) {
  return {
    id: String(job.id),
    kind: job.kind,
    state: job.state,
    rows: job.rows,
    processed: job.processed,
    added: job.added,
    updated: job.updated,
    removed: job.removed,
    unchanged: job.unchanged,
    skipped: job.skipped,
    lapsed: job.lapsed,
    kept: job.kept,
    errors: [...job.errors],
    ...(job.result !== null && { result: job.result }),
    created_at: job.created_at.toISOString(),
    finished_at: job.finished_at?.toISOString() ?? null,
  };
}

function idOf(text: string): number {
  const id = parseId(text);
  if (id === undefined) throw unknownJob();
  return id;
}

async function* events(first: JobRow | undefined, rest: AsyncGenerator<JobRow | undefined>): AsyncGenerator<string> {
  const write = (job: JobRow | undefined) => (job ? `data: ${JSON.stringify(onWire(job))}\n\n` : ': still here\n\n');
  yield write(first);
  for await (const job of rest) yield write(job);
}

/** Aborted when the reader has left, or the answer is complete. */
function leaving({ raw: response }: FastifyReply): AbortSignal {
  const left = new AbortController();
  response.once('close', () => left.abort());
  if (response.closed) left.abort();
  return left.signal;
}

export interface JobRoutes {
  readonly following: Following;
  readonly db: Db;
  readonly once: Once;
  /** A job was queued by a transaction that has committed. */
  readonly onQueued: () => void;
}

export function jobRoutes({ route }: Router, { following, db, once, onQueued }: JobRoutes): void {
  /** A key with tags sees the jobs of the segments that it sees. */
  async function findFor({ tags, actor }: Caller, text: string): Promise<number> {
    const id = idOf(text);
    if (!tags) return id;
    const { segment_id, kind, actor: asker } = await readJob(db, id);
    // The result of a question may be about segments that the key does not see.
    if (kind === 'question' && asker !== actor) throw unknownJob();
    if (segment_id !== null && !(await seenIds(db, tags, [segment_id])).has(segment_id)) throw unknownJob();
    return id;
  }

  route(contract.readJob, async ({ params, caller }) => onWire(await readJob(db, await findFor(caller, params.id))));

  route(contract.cancelJob, async ({ params, caller }) =>
    onWire(await cancelJob(db, await findFor(caller, params.id))),
  );

  route(contract.undoJob, async ({ params, query, caller, idempotent }) => {
    const id = await findFor(caller, params.id);
    // It may erase users, which such a key may not do otherwise.
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
