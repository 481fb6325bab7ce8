import { once } from 'node:events';
import { createServer } from 'node:http';
import { eventually } from '@kohort/testkit/eventually.ts';
import { demand, fieldOf } from '@kohort/testkit/http.ts';

/** The environment that lets the service send to the receiver here. */
export const receiverEnv = { WEBHOOK_ALLOW: '127.0.0.0/8' };

/** A feed whose changes are as large as possible, and a webhook that has received them. */
export interface Fed {
  readonly feed: string;
  readonly webhook: string;
  /** The id of one of its messages. */
  readonly delivery: string;
}

export interface FedSize {
  /** Changes of the definition of one segment, each of nearly a megabyte. */
  readonly definitions: number;
  /** Changes of members. */
  readonly members: number;
}

const slug = 'FED';
const maxAdded = 1_000;

/** Some 900 KiB of operands. */
function largeCondition(n: number): object {
  return { text: { $in: Array.from({ length: 900 }, (_, i) => `${n} ${i} `.padEnd(1_000, 'x')) } };
}

/** Accepts every message. It ends with the process. */
async function startReceiver(): Promise<string> {
  const receiver = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(204).end());
  });
  receiver.listen(0, '127.0.0.1').unref();
  await once(receiver, 'listening');
  const address = receiver.address();
  if (typeof address !== 'object' || !address) throw new Error('no address');
  return `http://127.0.0.1:${address.port}/`;
}

export async function makeFed(url: string, token: string, size: FedSize, users: number): Promise<Fed> {
  const ask = (method: string, path: string, body?: object) => demand(url, method, path, { token, body });
  await ask('POST', '/api/segments', { slug });
  const { id: feed, cursor } = (await ask('POST', '/api/feeds', { name: 'large', segments: [slug] })) as {
    readonly id: number;
    readonly cursor: string;
  };
  for (let n = 0; n < size.definitions; n++) {
    await ask('PATCH', `/api/segments/${slug}`, { condition: largeCondition(n) });
  }
  const ids = Array.from({ length: Math.min(users, maxAdded) }, (_, i) => `ext:u${i}`);
  for (let told = 0; told < size.members; told += ids.length) {
    const isAdd = (told / ids.length) % 2 === 0;
    await ask('PATCH', `/api/segments/${slug}/users`, isAdd ? { add: ids } : { remove: ids });
  }
  const receiver = await startReceiver();
  const webhook = fieldOf(await ask('POST', '/api/webhooks', { url: receiver, feed, after: cursor }), 'id');
  let delivery: unknown;
  await eventually(async () => {
    const page = await ask('GET', `/api/webhooks/${webhook}/deliveries`);
    const deliveries = fieldOf(page, 'deliveries');
    const delivered = Array.isArray(deliveries) ? deliveries.filter(({ state }) => state === 'succeeded') : [];
    delivery = fieldOf(delivered.at(-1), 'id');
    return delivered.length > size.definitions / 2;
  });
  return { feed: String(feed), webhook: String(webhook), delivery: String(delivery) };
}
