import {
  type Answer,
  type Body,
  type Consistency,
  type Endpoint,
  type Params,
  Problem,
  type Query,
} from '@kohort/contract';
import type { FastifyReply } from 'fastify';
import type { Caller } from '../../http/caller.ts';
import { consistencyOf } from '../../http/consistency.ts';
import type { Call, Router } from '../../http/route.ts';
import { JobFailed, type JobKind, noCounts } from '../../jobs/queue.ts';
import type { Database } from '../../postgres/database.ts';
import { insertQuestion, storeResult } from './questions.sql.ts';

/** A call whose answer may take long, answered now or later by a job. */
export interface Question<E extends Endpoint> {
  readonly params: Params<E>;
  readonly query: Query<E>;
  readonly body: Body<E>;
  readonly tags: Caller['tags'];
  readonly consistency: Consistency;
}

/** What a question that is a job is given beside what was asked. */
export interface AsJob {
  readonly timeoutMs: number;
  /** Reports the last user that was looked at, and the last there is, by id. Throws if the job must stop. */
  readonly progress: (reached: number, last: number) => void;
}

type AnswerLater = (asked: unknown, as: AsJob) => Promise<unknown>;

export interface Questions {
  readonly db: Database;
  /** By endpoint id. */
  readonly answers: Map<string, AnswerLater>;
  readonly onQueued: () => void;
}

/** Time limit of a question that runs as a job. */
const jobTimeoutMs = 600_000;
/** For questions queued by an older build. */
const usual = { consistency: 'usual' } as const;
/** The most waiting or running questions of one caller. */
const maxOpen = 20;

/** RFC 7240: a list of preferences, each with parameters. */
export function prefersAsync(header: string | string[] | undefined): boolean {
  return [header ?? []]
    .flat()
    .flatMap((value) => value.split(','))
    .some((preference) => preference.split(';')[0]?.trim().toLowerCase() === 'respond-async');
}

async function queue({ db, onQueued }: Questions, endpoint: Endpoint, asked: object, actor: string): Promise<number> {
  const id = await insertQuestion(db, { options: { endpoint: endpoint.id, asked }, actor }, maxOpen);
  if (id === undefined) {
    throw new Problem('overloaded', `You have ${maxOpen} unanswered questions already.`, { retryAfter: 10 });
  }
  onQueued();
  return id;
}

function accepted(reply: FastifyReply, job: number): FastifyReply {
  return reply
    .code(202)
    .header('preference-applied', 'respond-async')
    .send({ job: String(job) });
}

export interface QuestionHandlers<E extends Endpoint> {
  /** Throws what `answer` would throw, before a job is queued. */
  readonly check: (question: Question<E>) => Promise<unknown>;
  /** `as` is undefined while a caller waits. */
  readonly answer: (question: Question<E>, as?: AsJob) => Promise<Answer<E>>;
}

/** Registers a call that is answered at once, or by a job with `Prefer: respond-async`. */
export function routeQuestion<const E extends Endpoint>(
  { route }: Router,
  questions: Questions,
  endpoint: E,
  { check, answer }: QuestionHandlers<E>,
): void {
  // The stored request was validated by the schemas of the same endpoint.
  questions.answers.set(endpoint.id, (asked, as) => answer({ ...usual, ...(asked as Question<E>) }, as));
  route(endpoint, async ({ params, query, body, caller, request, reply }: Call<E>) => {
    const question = { params, query, body, tags: caller.tags, consistency: consistencyOf(request.headers) };
    if (!prefersAsync(request.headers.prefer)) return answer(question);
    await check(question);
    return accepted(reply, await queue(questions, endpoint, question, caller.actor));
  });
}

/** The kind of job that answers questions. */
export function questionKind({ db, answers }: Questions): JobKind {
  return {
    atOnce: 2,
    async run(job, { progress, finish }) {
      const { endpoint, asked } = job.options as { endpoint?: string; asked?: unknown };
      const answer = answers.get(endpoint ?? '');
      if (!answer) throw new JobFailed([{ line: null, message: 'this version does not know the question' }]);
      const result = await answer(asked, { timeoutMs: jobTimeoutMs, progress }).catch((error) => {
        if (error instanceof Problem && error.code !== 'unavailable') {
          const message = error.code === 'overloaded' ? 'the answer took more than ten minutes' : error.message;
          throw new JobFailed([{ line: null, message }]);
        }
        throw error;
      });
      await db.transaction(async (tx) => {
        await storeResult(tx, job.id, result);
        await finish(tx, noCounts);
      });
    },
  };
}
