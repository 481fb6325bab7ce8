import Type from 'typebox';
import { idempotent, idParams, NextCursor, nothing, nullable, page, strict, Time } from './common.ts';
import { endpoint } from './endpoint.ts';

const Url = Type.String({
  minLength: 1,
  maxLength: 2_048,
  description:
    'The URL that messages are posted to. It must resolve to public addresses, or to networks in `WEBHOOK_ALLOW`.',
});
const Secret = Type.String({
  maxLength: 100,
  description: 'Signs the messages, in the form of Standard Webhooks: `whsec_` and 24 to 64 bytes in base64.',
});
const SecretsUntil = nullable(
  Type.String({
    format: 'date-time',
    description: 'Until then messages are also signed with the previous secret.',
  }),
);

const webhook = {
  id: Type.Integer({ minimum: 1, description: 'The id of the webhook.' }),
  url: Url,
  feed: Type.Integer({ minimum: 1, description: 'The id of the feed whose changes it sends.' }),
  enabled: Type.Boolean({ description: 'If false, only tests and replays are sent.' }),
  disabled_reason: nullable(
    Type.Enum(['paused', 'gone', 'failing'], {
      description: '`paused`: by a call. `gone`: the receiver answered 410. `failing`: it failed for three days.',
    }),
  ),
  failures: Type.Integer({ minimum: 0, description: 'Attempts that have failed since the last success.' }),
  failing_since: nullable(Time),
  next_attempt_at: nullable({ ...Time, description: 'While it fails: when the batch is retried.' }),
  lag_seconds: Type.Number({
    minimum: 0,
    description: 'The age of the oldest change in the batch that is not delivered yet; 0 if there is none.',
  }),
  previous_secret_until: SecretsUntil,
  created_by: Type.String({ description: '`user:<id>` or `key:<id>`.' }),
  created_at: Time,
};

export const Webhook = strict(webhook, { title: 'Webhook', description: 'A receiver of the changes of a feed.' });
export const NewWebhook = strict(
  { ...webhook, secret: { ...Secret, description: 'Shown only once; stored encrypted.' } },
  { title: 'NewWebhook' },
);

export const Delivery = strict(
  {
    id: Type.Integer({ minimum: 1, description: 'The id of the delivery.' }),
    message_id: Type.String({
      description: 'The header `webhook-id`: the same for each attempt, and for each replay of the message.',
    }),
    type: Type.Enum(['changes', 'resync', 'test'], { description: 'The kind of message.' }),
    replay_of: nullable(Type.Integer({ minimum: 1, description: 'The delivery whose message is sent again.' })),
    state: Type.Enum(['pending', 'succeeded', 'failed'], {
      description:
        '`pending` until the receiver responds with a status from 200 to 299. Tests and replays are sent once.',
    }),
    changes: Type.Integer({ minimum: 0, description: 'The number of changes in the message.' }),
    attempts: Type.Integer({ minimum: 0 }),
    status: nullable(Type.Integer({ description: 'The status of the last response; null if there was none.' })),
    error: nullable(Type.String({ description: 'Why the last attempt failed.' })),
    response: nullable(Type.String({ description: 'The beginning of the last response, up to 1 KiB.' })),
    duration_ms: nullable(Type.Integer({ minimum: 0, description: 'The duration of the last attempt.' })),
    created_at: Time,
    attempted_at: nullable(Time),
    finished_at: nullable(Time),
  },
  { title: 'Delivery', description: 'A message to a webhook, with its outcome.' },
);

const webhookParams = idParams('The id of the webhook.');
const deliveryParams = strict({
  ...webhookParams.properties,
  delivery: Type.String({ pattern: '^[1-9][0-9]{0,15}$', description: 'The id of the delivery.' }),
});

const shownWebhook = {
  id: 1,
  url: 'https://receiver.example/kohort',
  feed: 1,
  enabled: true,
  disabled_reason: null,
  failures: 0,
  failing_since: null,
  next_attempt_at: null,
  lag_seconds: 0,
  previous_secret_until: null,
  created_by: 'user:1',
  created_at: '2026-11-26T08:00:00.000Z',
} as const;
const shownDelivery = {
  id: 1,
  message_id: 'msg_0190f3a2c4d87b1e8c6a5f4e3d2c1b0a',
  type: 'test',
  replay_of: null,
  state: 'pending',
  changes: 0,
  attempts: 0,
  status: null,
  error: null,
  response: null,
  duration_ms: null,
  created_at: '2026-11-26T08:00:00.000Z',
  attempted_at: null,
  finished_at: null,
} as const;
const shownSecret = 'whsec_Zm9yIHRoZSBkb2N1bWVudGF0aW9uIGFuZCBubyBtb3Jl';

export const createWebhook = endpoint({
  method: 'POST',
  path: '/api/webhooks',
  id: 'createWebhook',
  tag: 'webhooks',
  summary: 'Create a webhook that posts the changes of a feed to a URL; the secret is shown only once',
  description: 'See [webhooks](docs/webhooks.md). It begins with the changes after its creation, or after `after`.',
  access: 'editor',
  taggedKeys: 'handled',
  body: strict({
    url: Url,
    feed: webhook.feed,
    secret: Type.Optional(Secret),
    after: Type.Optional(
      Type.String({ minLength: 1, maxLength: 255, description: 'A cursor of the feed to begin after.' }),
    ),
  }),
  headers: idempotent.headers,
  success: { status: 201, body: NewWebhook },
  problems: ['feed_unknown', 'webhooks_exhausted', 'resync', 'overloaded', ...idempotent.problems],
  example: {
    body: { url: 'https://receiver.example/kohort', feed: 1 },
    answer: { ...shownWebhook, id: 2, secret: shownSecret },
  },
});

export const listWebhooks = endpoint({
  method: 'GET',
  path: '/api/webhooks',
  id: 'listWebhooks',
  tag: 'webhooks',
  summary: 'Webhooks without their secrets, ordered by id',
  access: 'viewer',
  taggedKeys: 'handled',
  query: strict(page),
  success: {
    status: 200,
    body: strict({ webhooks: Type.Array(Webhook), next_cursor: NextCursor }, { title: 'WebhookPage' }),
  },
  example: { query: { limit: 100 }, answer: { webhooks: [shownWebhook], next_cursor: null } },
});

export const readWebhook = endpoint({
  method: 'GET',
  path: '/api/webhooks/{id}',
  id: 'readWebhook',
  tag: 'webhooks',
  summary: 'One webhook, without its secret',
  access: 'viewer',
  taggedKeys: 'handled',
  params: webhookParams,
  success: { status: 200, body: Webhook },
  problems: ['webhook_unknown'],
  example: { params: { id: '1' }, answer: shownWebhook },
});

export const changeWebhook = endpoint({
  method: 'PATCH',
  path: '/api/webhooks/{id}',
  id: 'changeWebhook',
  tag: 'webhooks',
  summary: 'Change the URL; pause, or enable again',
  description: 'Either retries a failing webhook at once. It continues after the last delivered change.',
  access: 'editor',
  taggedKeys: 'handled',
  params: webhookParams,
  body: strict({ url: Type.Optional(Url), enabled: Type.Optional(webhook.enabled) }, { minProperties: 1 }),
  success: { status: 200, body: Webhook },
  problems: ['webhook_unknown'],
  example: {
    params: { id: '1' },
    body: { enabled: false },
    answer: { ...shownWebhook, enabled: false, disabled_reason: 'paused' },
  },
});

export const deleteWebhook = endpoint({
  method: 'DELETE',
  path: '/api/webhooks/{id}',
  id: 'deleteWebhook',
  tag: 'webhooks',
  summary: 'Delete a webhook, with its deliveries',
  access: 'editor',
  taggedKeys: 'handled',
  params: webhookParams,
  success: nothing,
  problems: ['webhook_unknown'],
  example: { params: { id: '2' } },
});

export const listDeliveries = endpoint({
  method: 'GET',
  path: '/api/webhooks/{id}/deliveries',
  id: 'listDeliveries',
  tag: 'webhooks',
  summary: 'The messages sent to a webhook with their outcomes, newest first',
  access: 'viewer',
  taggedKeys: 'handled',
  params: webhookParams,
  query: strict(page),
  success: {
    status: 200,
    body: strict({ deliveries: Type.Array(Delivery), next_cursor: NextCursor }, { title: 'DeliveryPage' }),
  },
  problems: ['webhook_unknown'],
  example: {
    params: { id: '1' },
    query: { limit: 100 },
    answer: {
      deliveries: [
        {
          ...shownDelivery,
          type: 'changes',
          state: 'succeeded',
          changes: 12,
          attempts: 1,
          status: 204,
          response: '',
          duration_ms: 31,
          attempted_at: '2026-11-26T08:00:00.000Z',
          finished_at: '2026-11-26T08:00:00.031Z',
        },
      ],
      next_cursor: null,
    },
  },
});

export const replayDelivery = endpoint({
  method: 'POST',
  path: '/api/webhooks/{id}/deliveries/{delivery}/replay',
  id: 'replayDelivery',
  tag: 'webhooks',
  summary: 'Send a message once more, under the same id',
  description: 'Works for a disabled webhook too. Its changes must still be kept (`FEED_RETENTION`).',
  access: 'editor',
  taggedKeys: 'handled',
  params: deliveryParams,
  success: { status: 202, body: Delivery },
  problems: ['webhook_unknown', 'delivery_unknown', 'delivery_pending', 'overloaded'],
  example: {
    params: { id: '1', delivery: '1' },
    answer: { ...shownDelivery, id: 2, type: 'changes', changes: 12, replay_of: 1 },
  },
});

export const testWebhook = endpoint({
  method: 'POST',
  path: '/api/webhooks/{id}/test',
  id: 'testWebhook',
  tag: 'webhooks',
  summary: 'Send a message of the type `test`, once; its deliveries show the outcome',
  description: 'Works for a disabled webhook too. After a successful test a failing webhook is retried at once.',
  access: 'editor',
  taggedKeys: 'handled',
  params: webhookParams,
  success: { status: 202, body: Delivery },
  problems: ['webhook_unknown', 'overloaded'],
  example: { params: { id: '1' }, answer: { ...shownDelivery, id: 3 } },
});

export const rotateSecret = endpoint({
  method: 'POST',
  path: '/api/webhooks/{id}/secret',
  id: 'rotateSecret',
  tag: 'webhooks',
  summary: 'Set a new secret, random or given; it is shown only once',
  description: 'For a day messages are signed with both, so that the receiver has time to switch.',
  access: 'editor',
  taggedKeys: 'handled',
  params: webhookParams,
  body: nullable(strict({ secret: Type.Optional(Secret) })),
  success: {
    status: 200,
    body: strict({ secret: Secret, previous_secret_until: SecretsUntil }, { title: 'NewSecret' }),
  },
  problems: ['webhook_unknown'],
  example: {
    params: { id: '2' },
    body: {},
    answer: { secret: shownSecret, previous_secret_until: '2026-11-27T08:00:00.000Z' },
  },
});
