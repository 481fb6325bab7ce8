import { invalid, Problem } from '@kohort/contract';
import { type Cursors, pageOf, placeWithin } from '../../paging/cursors.ts';
import type { Database, Db } from '../../postgres/database.ts';
import { deriveKey, sealText } from '../../sealing/seal.ts';
import { type FeedsContext, lastChange, type Position, placeIn, readFeed } from '../feeds/feeds.ts';
import type { KeyTags } from '../segments/segments.ts';
import { parseNetworks } from './addresses.ts';
import { type DestinationSettings, locate, readUrl, refuseUnlessPublic, UrlRefused } from './destination.ts';
import { drawMessageId } from './messages.ts';
import { type ResolveName, resolveName } from './resolve-name.ts';
import { drawSecret, isSecret } from './signature.ts';
import {
  type DeliveryRow,
  deleteExcess,
  deleteOld,
  deleteWebhookRow,
  insertReplay,
  insertTest,
  insertWebhook,
  replaceSecret,
  selectDeliveries,
  selectDelivery,
  selectWebhook,
  selectWebhooks,
  updateWebhook,
  type WebhookRow,
} from './webhooks.sql.ts';

export { measureWebhooks } from './metrics.ts';
export { type SenderLimits, WebhookSender } from './sender.ts';
export type { DeliveryRow, WebhookRow } from './webhooks.sql.ts';

/** What webhooks work with; one for the whole process. */
export interface WebhooksContext {
  readonly db: Database;
  readonly cursors: Cursors;
  readonly feeds: FeedsContext;
  readonly destination: DestinationSettings;
  /** Seals the secrets. */
  readonly sealKey: Buffer;
  /** Has the sender look at once. */
  readonly wake: () => void;
}

export interface WebhookSettings {
  readonly mode: 'evaluation' | 'production';
  readonly webhookAllow: readonly string[];
  readonly jwtSecret: string;
}

/** What both the calls and the sender need of the configuration. */
export function webhookSettings(
  { mode, webhookAllow, jwtSecret }: WebhookSettings,
  resolve: ResolveName = resolveName,
): Pick<WebhooksContext, 'destination' | 'sealKey'> {
  return {
    destination: {
      allowed: parseNetworks(webhookAllow),
      needsHttps: mode === 'production',
      resolveName: resolve,
    },
    sealKey: deriveKey(jwtSecret, 'kohort webhook secrets'),
  };
}

const maxWebhooks = 1_000;
/** Tests and replays of one webhook that may wait. */
const maxAsked = 20;
/** A name that cannot be resolved in this time is taken, and judged by each delivery. */
const resolveMs = 3_000;
const maxDeliveries = 10_000;
/** Days. */
const deliveryRetention = 7;

/** Limits the caller to what their key sees. */
interface Caller {
  readonly actor: string;
  readonly tags?: KeyTags;
}

export function unknownWebhook(): Problem {
  return new Problem('webhook_unknown', 'There is no such webhook.');
}

function overloaded(): Problem {
  return new Problem('overloaded', 'Too many tests and replays wait for this webhook.', { retryAfter: 10 });
}

/** @throws Problem 400 for a URL whose host has an address now that must not be reached. */
export async function refuseUrl(destination: DestinationSettings, text: string): Promise<void> {
  try {
    const url = readUrl(text);
    const located = await locate(destination, url, AbortSignal.timeout(resolveMs)).catch((error) => {
      if (error instanceof UrlRefused) throw error;
      return undefined;
    });
    if (!located) refuseUnlessPublic(url, destination.needsHttps);
  } catch (error) {
    if (error instanceof UrlRefused) throw invalid('/body/url', error.message);
    throw error;
  }
}

/** A secret of the caller, or one that is drawn. @throws Problem 400 unless it has the form of one. */
export function secretOf(given: string | undefined): string {
  if (given === undefined) return drawSecret();
  if (!isSecret(given)) throw invalid('/body/secret', 'must be whsec_ followed by 24 to 64 bytes in base64');
  return given;
}

export interface NewWebhook {
  readonly url: string;
  readonly feed: number;
  readonly secret: string;
  readonly after?: string;
}

/** The URL and the secret have been checked: a look-up has no place in a transaction. */
export async function createWebhook(
  { feeds, sealKey }: WebhooksContext,
  db: Db,
  { url, feed: feedId, secret, after }: NewWebhook,
  { actor, tags }: Caller,
): Promise<WebhookRow> {
  const feed = await readFeed(db, feedId, tags);
  let position: Position | undefined;
  if (after !== undefined) position = await placeIn(feeds, feed, after, '/body/after');
  // A feed that is being prepared begins later than now.
  else if (feed.is_ready) position = await lastChange(db);
  const sealed = sealText(sealKey, Buffer.alloc(0), secret);
  const row = { url, feed: feedId, secret: sealed, position, createdBy: actor };
  const created = await insertWebhook(db, row, maxWebhooks);
  if (!created) throw new Problem('webhooks_exhausted', `There are ${maxWebhooks} webhooks, as many as there may be.`);
  return created;
}

/** A key with tags sees the webhooks of the feeds that it sees. */
async function seesFeed(db: Db, feed: number, tags: KeyTags): Promise<boolean> {
  if (!tags) return true;
  try {
    await readFeed(db, feed, tags);
    return true;
  } catch (error) {
    if (error instanceof Problem && error.code === 'feed_unknown') return false;
    throw error;
  }
}

/** @throws Problem 404 also for a webhook of a feed that the caller's key does not see. */
export async function readWebhook(db: Db, id: number, tags: KeyTags): Promise<WebhookRow> {
  const webhook = await selectWebhook(db, id);
  if (!webhook || !(await seesFeed(db, webhook.feed, tags))) throw unknownWebhook();
  return webhook;
}

interface Page {
  readonly limit?: number;
  readonly cursor?: string;
}

export async function listWebhooks(
  { db, cursors }: WebhooksContext,
  { limit = 100, cursor }: Page,
  tags: KeyTags,
): Promise<{ webhooks: WebhookRow[]; next_cursor: string | null }> {
  const [after] = cursor === undefined ? [0] : cursors.decode('webhooks', cursor);
  const found = await selectWebhooks(db, { after: Number(after), limit: limit + 1 });
  const { rows, next_cursor } = pageOf(found, limit, (last) => cursors.encode('webhooks', [last.id]));
  const feeds = new Map<number, boolean>();
  for (const { feed } of rows) if (!feeds.has(feed)) feeds.set(feed, await seesFeed(db, feed, tags));
  return { webhooks: rows.filter(({ feed }) => feeds.get(feed)), next_cursor };
}

export async function changeWebhook(
  { db, destination, wake }: WebhooksContext,
  id: number,
  { url, enabled }: { url?: string; enabled?: boolean },
  tags: KeyTags,
): Promise<WebhookRow> {
  if (url !== undefined) await refuseUrl(destination, url);
  await readWebhook(db, id, tags);
  const changed = await updateWebhook(db, id, { url: url ?? null, enabled: enabled ?? null });
  if (!changed) throw unknownWebhook();
  wake();
  return changed;
}

export async function deleteWebhook({ db }: WebhooksContext, id: number, tags: KeyTags): Promise<void> {
  await readWebhook(db, id, tags);
  if (!(await deleteWebhookRow(db, id))) throw unknownWebhook();
}

/** The new secret is in this answer and nowhere else. */
export async function rotateSecret(
  { db, sealKey }: WebhooksContext,
  id: number,
  given: string | undefined,
  tags: KeyTags,
): Promise<{ secret: string; previous_secret_until: Date }> {
  const secret = secretOf(given);
  await readWebhook(db, id, tags);
  const replaced = await replaceSecret(db, id, sealText(sealKey, Buffer.alloc(0), secret));
  if (!replaced) throw unknownWebhook();
  return { secret, ...replaced };
}

export async function listDeliveries(
  { db, cursors }: WebhooksContext,
  id: number,
  { limit = 100, cursor }: Page,
  tags: KeyTags,
): Promise<{ deliveries: DeliveryRow[]; next_cursor: string | null }> {
  const place = placeWithin(id, cursor === undefined ? undefined : cursors.decode('deliveries', cursor));
  const [before = Number.MAX_SAFE_INTEGER] = place ?? [];
  await readWebhook(db, id, tags);
  const found = await selectDeliveries(db, id, { before: Number(before), limit: limit + 1 });
  const { rows, next_cursor } = pageOf(found, limit, (last) => cursors.encode('deliveries', [id, last.id]));
  return { deliveries: rows, next_cursor };
}

export async function testWebhook({ db, wake }: WebhooksContext, id: number, tags: KeyTags): Promise<DeliveryRow> {
  await readWebhook(db, id, tags);
  const test = await insertTest(db, id, drawMessageId(), maxAsked);
  if (!test) throw overloaded();
  wake();
  return test;
}

/** Sends the message of a delivery once more. */
export async function replayDelivery(
  { db, wake }: WebhooksContext,
  id: number,
  deliveryId: number,
  tags: KeyTags,
): Promise<DeliveryRow> {
  await readWebhook(db, id, tags);
  const delivery = await selectDelivery(db, id, deliveryId);
  if (!delivery) throw new Problem('delivery_unknown', 'There is no such delivery.');
  if (delivery.state === 'pending') {
    throw new Problem('delivery_pending', 'The delivery is being sent. Enable the webhook to have it tried at once.');
  }
  const replay = await insertReplay(db, id, deliveryId, maxAsked);
  if (!replay) throw overloaded();
  wake();
  return replay;
}

/** Deletes what is older than the changes that it could be read from, and what a busy webhook has too much of. */
export async function sweepDeliveries(db: Db, retentionDays = deliveryRetention): Promise<void> {
  while (await deleteOld(db, retentionDays));
  while (await deleteExcess(db, maxDeliveries));
}
