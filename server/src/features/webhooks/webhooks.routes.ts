import { webhooks as contract, Problem, parseId } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import type { Once } from '../idempotency/idempotency.ts';
import {
  changeWebhook,
  createWebhook,
  type DeliveryRow,
  deleteWebhook,
  listDeliveries,
  listWebhooks,
  readWebhook,
  refuseUrl,
  replayDelivery,
  rotateSecret,
  secretOf,
  testWebhook,
  unknownWebhook,
  type WebhookRow,
  type WebhooksContext,
} from './webhooks.ts';

function onWire({ failing_since, next_attempt_at, previous_secret_until, created_at, ...webhook }: WebhookRow) {
  return {
    ...webhook,
    failing_since: failing_since?.toISOString() ?? null,
    next_attempt_at: next_attempt_at?.toISOString() ?? null,
    previous_secret_until: previous_secret_until?.toISOString() ?? null,
    created_at: created_at.toISOString(),
  };
}

function deliveryOnWire({ created_at, attempted_at, finished_at, ...delivery }: DeliveryRow) {
  return {
    ...delivery,
    created_at: created_at.toISOString(),
    attempted_at: attempted_at?.toISOString() ?? null,
    finished_at: finished_at?.toISOString() ?? null,
  };
}

function idOf(text: string): number {
  const id = parseId(text);
  if (id === undefined) throw unknownWebhook();
  return id;
}

function deliveryIdOf(text: string): number {
  const id = parseId(text);
  if (id === undefined) throw new Problem('delivery_unknown', 'There is no such delivery.');
  return id;
}

export function webhookRoutes({ route }: Router, context: WebhooksContext, once: Once): void {
  const { db, destination, wake } = context;

  route(contract.createWebhook, async ({ body, caller, idempotent, reply }) => {
    // The answer contains the secret, so no cache may keep it.
    reply.header('cache-control', 'no-store');
    const secret = secretOf(body.secret);
    await refuseUrl(destination, body.url);
    const answer = await once(idempotent, async (within) => ({
      ...onWire(await createWebhook(context, within, { ...body, secret }, caller)),
      secret,
    }));
    wake();
    return answer;
  });

  route(contract.listWebhooks, async ({ query, caller }) => {
    const { webhooks, next_cursor } = await listWebhooks(context, query, caller.tags);
    return { webhooks: webhooks.map(onWire), next_cursor };
  });

  route(contract.readWebhook, async ({ params, caller }) =>
    onWire(await readWebhook(db, idOf(params.id), caller.tags)),
  );

  route(contract.changeWebhook, async ({ params, body, caller }) =>
    onWire(await changeWebhook(context, idOf(params.id), body, caller.tags)),
  );

  route(contract.deleteWebhook, async ({ params, caller }) => {
    await deleteWebhook(context, idOf(params.id), caller.tags);
    return undefined;
  });

  route(contract.listDeliveries, async ({ params, query, caller }) => {
    const { deliveries, next_cursor } = await listDeliveries(context, idOf(params.id), query, caller.tags);
    return { deliveries: deliveries.map(deliveryOnWire), next_cursor };
  });

  route(contract.replayDelivery, async ({ params, caller }) => {
    const delivery = deliveryIdOf(params.delivery);
    return deliveryOnWire(await replayDelivery(context, idOf(params.id), delivery, caller.tags));
  });

  route(contract.testWebhook, async ({ params, caller }) =>
    deliveryOnWire(await testWebhook(context, idOf(params.id), caller.tags)),
  );

  route(contract.rotateSecret, async ({ params, body, caller, reply }) => {
    reply.header('cache-control', 'no-store');
    const rotated = await rotateSecret(context, idOf(params.id), body?.secret, caller.tags);
    return { secret: rotated.secret, previous_secret_until: rotated.previous_secret_until.toISOString() };
  });
}
