import type { Command } from 'commander';
import type { Delivery, Webhook } from '../api.ts';
import type { Client } from '../client.ts';
import { countIn } from './arguments.ts';
import { type Act, type Output, print, table } from './output.ts';

/** Whether it gets its changes, in one word. */
function stateOf({ enabled, disabled_reason, failures }: Webhook): string {
  if (!enabled) return disabled_reason ?? 'disabled';
  return failures > 0 ? `failing (${failures})` : 'ok';
}

async function listWebhooks(client: Client, output: Output): Promise<void> {
  const found: Webhook[] = [];
  for await (const webhook of client.webhooks.listWebhooks.all({ query: { limit: 1000 } })) found.push(webhook);
  const rows = found.map((one) => [String(one.id), String(one.feed), stateOf(one), `${one.lag_seconds} s`, one.url]);
  print(output, found, table(['WEBHOOK', 'FEED', 'STATE', 'LAG', 'URL'], rows));
}

async function createWebhook(
  client: Client,
  output: Output,
  [feed, url]: readonly [feed: string, url: string],
  { after }: { readonly after?: string },
): Promise<void> {
  const made = await client.webhooks.createWebhook({ body: { url, feed: countIn('FEED')(feed), after } });
  print(output, made, [`created webhook ${made.id}`, `secret (shown this once): ${made.secret}`]);
}

function rowOf({ id, type, state, changes, attempts, status, error, created_at, replay_of }: Delivery): string[] {
  const what = replay_of === null ? type : `${type} of ${replay_of}`;
  return [String(id), what, state, String(changes), String(attempts), String(status ?? ''), created_at, error ?? ''];
}

const deliveryHead = ['DELIVERY', 'TYPE', 'STATE', 'CHANGES', 'ATTEMPTS', 'STATUS', 'CREATED', 'ERROR'];

async function listDeliveries(client: Client, output: Output, id: string, limit: number): Promise<void> {
  const found: Delivery[] = [];
  const query = { limit: Math.min(limit, 1000) };
  for await (const delivery of client.webhooks.listDeliveries.all({ params: { id }, query })) {
    if (found.push(delivery) === limit) break;
  }
  print(output, found, table(deliveryHead, found.map(rowOf)));
}

/** `kohort webhooks …` */
export function addWebhooks(program: Command, act: Act): void {
  const webhooks = program.command('webhooks').description('who has the changes of a feed posted to them');
  const sending = (name: string, description: string, send: (client: Client, ids: string[]) => Promise<Delivery>) =>
    webhooks
      .command(name)
      .description(description)
      .action((...given) =>
        act(async (client, output) => {
          const delivery = await send(
            client,
            given.filter((one) => typeof one === 'string'),
          );
          print(output, delivery, table(deliveryHead, [rowOf(delivery)]));
        }),
      );
  webhooks
    .command('list')
    .description('all webhooks, and how far behind they are')
    .action(() => act((client, output) => listWebhooks(client, output)));
  webhooks
    .command('create <feed> <url>')
    .description('have the changes of a feed posted to a URL from now on')
    .option('--after <cursor>', 'begin there')
    .action((feed, url, options) => act((client, output) => createWebhook(client, output, [feed, url], options)));
  for (const [name, enabled] of [
    ['pause', false],
    ['resume', true],
  ] as const) {
    webhooks
      .command(`${name} <id>`)
      .description(enabled ? 'go on after what was delivered last' : 'send nothing but tests and replays')
      .action((id) =>
        act(async (client, output) => {
          const changed = await client.webhooks.changeWebhook({ params: { id }, body: { enabled } });
          print(output, changed, [`webhook ${id} is ${stateOf(changed)}`]);
        }),
      );
  }
  webhooks
    .command('delete <id>')
    .description('delete a webhook, with its deliveries')
    .action((id) =>
      act(async (client, output) => {
        await client.webhooks.deleteWebhook({ params: { id } });
        print(output, { id: Number(id) }, [`deleted webhook ${id}`]);
      }),
    );
  webhooks
    .command('deliveries <id>')
    .description('what was sent, the newest first, and what came of it')
    .option('--limit <number>', 'at most so many', countIn('--limit'), 20)
    .action((id, { limit }: { limit: number }) => act((client, output) => listDeliveries(client, output, id, limit)));
  sending('replay <id> <delivery>', 'send a message once more', (client, [id = '', delivery = '']) =>
    client.webhooks.replayDelivery({ params: { id, delivery } }),
  );
  sending('test <id>', 'send a message of the type test', (client, [id = '']) =>
    client.webhooks.testWebhook({ params: { id } }),
  );
  webhooks
    .command('secret <id>')
    .description('draw a new secret; the old one is good for another day')
    .action((id) =>
      act(async (client, output) => {
        const { secret, previous_secret_until } = await client.webhooks.rotateSecret({ params: { id }, body: {} });
        const until = previous_secret_until === null ? [] : [`the one before is good until ${previous_secret_until}`];
        print(output, { secret, previous_secret_until }, [`secret (shown this once): ${secret}`, ...until]);
      }),
    );
}
