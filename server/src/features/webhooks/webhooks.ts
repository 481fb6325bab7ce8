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

/** The dependencies of webhooks, one per process. */
export interface WebhooksContext {
  readonly db: Database;
  readonly cursors: Cursors;
  readonly feeds: FeedsContext;
  readonly destination: DestinationSettings;
  /** Encrypts the secrets. */
  readonly sealKey: Buffer;
  /** Makes the sender poll at once. */
  readonly wake: () => void;
}

export interface WebhookSettings {
  readonly mode: 'evaluation' | 'production';
  readonly webhookAllow: readonly string[];
  readonly jwtSecret: string;
}

/** The part of the configuration that the calls and the sender share. */
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
/** The most pending tests and replays of one webhook. */
const maxAsked = 20;
/** A URL whose name cannot be resolved in this time is accepted, and checked at each delivery. */
const resolveMs = 3_000;
const maxDeliveries = 10_000;
/** Days. */
const deliveryRetention = 7;

/** Limits the caller to feeds that their key sees. */
interface Caller {
  readonly actor: string;
  readonly tags?: KeyTags;
}

export function unknownWebhook(): Problem {
  return new Problem('webhook_unknown', 'There is no such webhook.');
}

function overloaded(): Problem {
  return new Problem('overloaded', 'Too many tests and replays of this webhook are pending.', { retryAfter: 10 });
}

/** @throws Problem 400 for a URL whose host has an address that must not be reached. */
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

/** The caller's secret, or a random one. @throws Problem 400 if it does not have the form of a secret. */
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

/** The URL and the secret are checked by the caller: a DNS look-up must not hold a transaction open. */
export async function createWebhook(
  { feeds, sealKey }: WebhooksContext,
  db: Db,
  { url, feed: feedId, secret, after }: NewWebhook,
  { actor, tags }: Caller,
): Promise<WebhookRow> {
  const feed = await readFeed(db, feedId, tags);
  let position: Position | undefined;
  if (after !== undefined) position = await placeIn(feeds, feed, after, '/body/after');
  // A feed that is being prepared begins later.
  else if (feed.is_ready) position = await lastChange(db);
  const sealed = sealText(sealKey, Buffer.alloc(0), secret);
  const row = { url, feed: feedId, secret: sealed, position, createdBy: actor };
  const created = await insertWebhook(db, row, maxWebhooks);
  if (!created) throw new Problem('webhooks_exhausted', `The limit of ${maxWebhooks} webhooks is reached.`);
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

/** The answer contains the new secret, which cannot be read again. */
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

/** Queues the message of a delivery to be sent once more. */
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
    throw new Problem('delivery_pending', 'The delivery is still being sent. To retry it at once, enable the webhook.');
  }
  const replay = await insertReplay(db, id, deliveryId, maxAsked);
  if (!replay) throw overloaded();
  wake();
  return replay;
}

/** Deletes deliveries whose changes have been deleted, and the oldest ones of a webhook that exceeds its limit. */
export async function sweepDeliveries(db: Db, retentionDays = deliveryRetention): Promise<void> {
  while (await deleteOld(db, retentionDays));
  while (await deleteExcess(db, maxDeliveries));
}
