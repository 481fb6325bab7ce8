import { Problem } from '@kohort/contract';
import type { Database } from '../../postgres/database.ts';
import {
  type ChangeRow,
  cursorOf,
  type FeedRow,
  type FeedsContext,
  lastChange,
  type Position,
  readFeed,
} from '../feeds/feeds.ts';
import type { Attempted, Line } from './attempt.ts';
import {
  type Attempt,
  beginAttempt,
  dropDelivery,
  insertBatch,
  type PendingRow,
  recordAsked,
  recordDelivered,
  recordFailed,
  selectPending,
} from './attempts.sql.ts';
import { type Leased, movePosition, selectLeased } from './leases.sql.ts';
import { bodyOf, drawMessageId, placeOf, readAgain, readNext } from './messages.ts';
import { pauseMs, type RetryPlan } from './pauses.ts';

export interface SendContext {
  readonly db: Database;
  readonly feeds: FeedsContext;
  readonly plan: RetryPlan;
  /** The holder of the lease. */
  readonly owner: string;
  readonly line: Line;
  readonly onAttempt: (isSuccess: boolean, seconds: number) => void;
  /** Aborted when the lease is lost or the grace period of a stop has ended. */
  readonly stop: AbortSignal;
}

/** `sent`: there may be more. `nothing`: there is nothing to send now. `not ready`: try again shortly. */
export type Sent = 'sent' | 'nothing' | 'not ready';

/** A message that is about to be sent. */
interface Message {
  readonly id: string;
  readonly attempt: Attempt;
  readonly body: Buffer;
  readonly isAsked: boolean;
  /** The position of the webhook after delivery. */
  readonly until: Position | undefined;
}

const nothing = { sent: 'nothing' } as const;
const tooOld = 'its changes have been deleted';
const goneStatus = 410;

/** Sends the next message to a webhook: a test or replay, else the batch that failed last, else the next batch. */
export async function sendNext(context: SendContext, webhookId: number): Promise<Sent> {
  const { db, owner } = context;
  const leased = await selectLeased(db, owner, webhookId);
  if (!leased) return 'nothing';
  const pending = await selectPending(db, webhookId);
  if (!pending?.is_asked && !leased.is_due) return 'nothing';
  try {
    const feed = await readFeed(db, leased.feed_id, undefined);
    const found = pending
      ? await messageAgain(context, webhookId, feed, pending)
      : await nextMessage(context, webhookId, feed, leased);
    return 'sent' in found ? found.sent : await send(context, webhookId, found);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    // The feed was deleted, and the webhook with it.
    if (error.code === 'feed_unknown') return 'nothing';
    if (error.code === 'overloaded') return 'not ready';
    throw error;
  }
}

type Found = Message | { readonly sent: Sent };

function positionOf(id: number | null, nonce: number | null): Position | undefined {
  return id === null || nonce === null ? undefined : { id, nonce };
}

async function nextMessage(context: SendContext, webhookId: number, feed: FeedRow, leased: Leased): Promise<Found> {
  const { db, feeds, owner } = context;
  const place = await placeOf(feeds, feed, positionOf(leased.position_id, leased.position_nonce));
  const messageId = drawMessageId();
  if (!place) {
    const until = await lastChange(db);
    const batch = { messageId, type: 'resync', after: undefined, until, changes: 0, oldestAt: undefined } as const;
    const attempt = await insertBatch(db, owner, webhookId, batch);
    return attempt ? await messageOf(context, webhookId, feed, { ...batch, attempt, changes: [] }) : nothing;
  }
  const { changes, until } = await readNext(feeds, feed, place);
  if (changes.length === 0) {
    if (until.id === place.id && leased.position_id !== null) return nothing;
    await movePosition(db, owner, webhookId, until);
    return { sent: until.id === place.id ? 'nothing' : 'sent' };
  }
  const batch = { messageId, type: 'changes', after: place, until } as const;
  const attempt = await insertBatch(db, owner, webhookId, {
    ...batch,
    changes: changes.length,
    oldestAt: changes[0]?.at,
  });
  return attempt ? await messageOf(context, webhookId, feed, { ...batch, attempt, changes }) : nothing;
}

/** The message of a delivery that is stored already. */
async function messageAgain(
  context: SendContext,
  webhookId: number,
  feed: FeedRow,
  pending: PendingRow,
): Promise<Found> {
  const { db, feeds, owner } = context;
  const { id, message_id: messageId, type, is_asked: isAsked } = pending;
  const until = positionOf(pending.until_id, pending.until_nonce);
  let changes: readonly ChangeRow[] = [];
  if (type === 'changes' && until) {
    const after = await placeOf(feeds, feed, positionOf(pending.after_id, pending.after_nonce));
    if (after) changes = await readAgain(feeds, feed, { after, until, count: pending.changes });
    if (changes.length < pending.changes) {
      await dropDelivery(db, owner, id, tooOld);
      return { sent: 'sent' };
    }
  }
  const attempt = await beginAttempt(db, owner, id);
  return attempt
    ? await messageOf(context, webhookId, feed, { messageId, type, until, attempt, changes, isAsked })
    : nothing;
}

interface Draft {
  readonly messageId: string;
  readonly type: 'changes' | 'resync' | 'test';
  readonly until: Position | undefined;
  readonly attempt: Attempt;
  readonly changes: readonly ChangeRow[];
  readonly isAsked?: boolean;
}

async function messageOf({ feeds }: SendContext, webhook: number, feed: FeedRow, draft: Draft): Promise<Message> {
  const { messageId, type, until, attempt, changes, isAsked = false } = draft;
  const cursor = until ? await cursorOf(feeds, until) : null;
  const parts = { type, webhook, feed: feed.id, writtenAt: attempt.message_at, changes, cursor };
  return { id: messageId, attempt, body: bodyOf(parts), isAsked, until };
}

async function send(context: SendContext, webhookId: number, message: Message): Promise<Sent> {
  const { line, onAttempt, stop } = context;
  const { attempt } = message;
  const outcome = await line.send(attempt, message, stop);
  onAttempt(outcome.error === null, outcome.durationMs / 1_000);
  return record(context, webhookId, message, outcome);
}

async function record(
  { db, owner, plan }: SendContext,
  webhookId: number,
  { attempt, isAsked, until }: Message,
  outcome: Attempted,
): Promise<Sent> {
  const ended = { webhookId, id: attempt.id, outcome, isGone: outcome.status === goneStatus };
  if (isAsked || !until) {
    await recordAsked(db, owner, ended);
    return 'sent';
  }
  if (outcome.error === null) {
    return (await recordDelivered(db, owner, { ...ended, until })) ? 'sent' : 'nothing';
  }
  const pause = pauseMs(plan, attempt.failures + 1, outcome.askedMs);
  await recordFailed(db, owner, { ...ended, pauseMs: pause, giveUpMs: plan.giveUpMs });
  return 'sent';
}
