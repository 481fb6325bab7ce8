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

/** A call whose answer may take long, as it is put now or by a job later. */
export interface Question<E extends Endpoint> {
  readonly params: Params<E>;
  readonly query: Query<E>;
  readonly body: Body<E>;
  readonly tags: Caller['tags'];
  readonly consistency: Consistency;
}

type AnswerLater = (asked: unknown) => Promise<unknown>;

export interface Questions {
  readonly db: Database;
  /** By the id of their endpoint. */
  readonly answers: Map<string, AnswerLater>;
  readonly onQueued: () => void;
}

/** The time limit of a question that runs as a job. */
const jobTimeoutMs = 600_000;
/** Of questions that an older build has queued. */
const usual = { consistency: 'usual' } as const;
/** Questions of one caller that wait or run. */
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
    throw new Problem('overloaded', `You have ${maxOpen} questions that wait for their answers.`, { retryAfter: 10 });
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
  /** Refuses what `answer` would, before a job is made of it. */
  readonly check: (question: Question<E>) => Promise<unknown>;
  /** Is given the time that it may take, if that is not the usual one. */
  readonly answer: (question: Question<E>, timeoutMs?: number) => Promise<Answer<E>>;
}

/** Registers a call that is answered at once, or with `Prefer: respond-async` by a job. */
export function routeQuestion<const E extends Endpoint>(
  { route }: Router,
  questions: Questions,
  endpoint: E,
  { check, answer }: QuestionHandlers<E>,
): void {
  // What is stored was validated by the schemas of this very endpoint before.
  questions.answers.set(endpoint.id, (asked) => answer({ ...usual, ...(asked as Question<E>) }, jobTimeoutMs));
  route(endpoint, async ({ params, query, body, caller, request, reply }: Call<E>) => {
    const question = { params, query, body, tags: caller.tags, consistency: consistencyOf(request.headers) };
    if (!prefersAsync(request.headers.prefer)) return answer(question);
    await check(question);
    return accepted(reply, await queue(questions, endpoint, question, caller.actor));
  });
}

/** The kind of job that answers them. */
export function questionKind({ db, answers }: Questions): JobKind {
  return {
    atOnce: 2,
    async run(job, { finish }) {
      const { endpoint, asked } = job.options as { endpoint?: string; asked?: unknown };
      const answer = answers.get(endpoint ?? '');
      if (!answer) throw new JobFailed([{ line: null, message: 'this version does not know the question' }]);
      const result = await answer(asked).catch((error) => {
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
