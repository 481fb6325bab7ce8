import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { eventually } from '@kohort/testkit/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { button, says, world } from './world.ts';

/** Who is told by webhooks: what it answers, and the messages it has got. */
const receiver = { status: 204, messages: [] as { readonly signature: unknown; readonly body: string }[] };
const server = createServer((request, response) => {
  text(request).then(
    (body) => {
      receiver.messages.push({ signature: request.headers['webhook-signature'], body });
      response.writeHead(receiver.status).end();
    },
    // The service may be killed in the middle of a message.
    () => response.destroy(),
  );
});

describe('feeds', () => {
  let url: string;
  beforeAll(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/kohort`;
    await world.api('POST', '/api/segments', { slug: 'FOLLOWED' });
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it('are made of segments, and tell who enters them and why', async () => {
    const page = await world.open('/feeds');
    await says(page, 'No feeds yet');
    await button(page, 'New feed').first().click();
    await page.getByLabel('Name').fill('mailing list');
    await page.getByRole('textbox', { name: 'Segments' }).fill('FOLLOWED');
    await page.getByRole('dialog').getByRole('button', { name: 'New feed' }).click();
    await page.getByRole('heading', { name: 'mailing list' }).waitFor();
    await says(page, 'No changes yet');
    await world.api('POST', '/api/users/ext:shopper-50/segments', { slug: 'FOLLOWED' });
    await eventually(async () => {
      await button(page, 'Load more').click();
      return (await page.getByRole('row').filter({ hasText: 'shopper-50' }).getByText('added by hand').count()) === 1;
    });
  });

  it('are posted to a webhook, whose secret is shown once', async () => {
    const page = await world.open('/feeds');
    await page.getByRole('link', { name: 'mailing list' }).click();
    await button(page, 'New webhook').click();
    await page.getByRole('textbox', { name: 'Address' }).fill('http://10.0.0.1/kohort');
    await page.getByRole('dialog').getByRole('button', { name: 'New webhook' }).click();
    await page.getByRole('alert').getByText('/body/url').waitFor();
    await page.getByRole('textbox', { name: 'Address' }).fill(url);
    await page.getByRole('dialog').getByRole('button', { name: 'New webhook' }).click();
    expect(await page.getByRole('textbox', { name: 'Secret' }).inputValue()).toMatch(/^whsec_/);
    await button(page, 'I have saved it').click();
    await page.getByRole('link', { name: url }).waitFor();
    expect(await page.content()).not.toContain('whsec_');
  });

  it('show what was delivered and what failed, and send it again', async () => {
    const page = await world.open('/feeds');
    await page.getByRole('link', { name: 'delivering' }).click();
    await page.getByRole('heading', { name: url }).waitFor();
    await button(page, 'Send a test').click();
    const row = (text: string) => page.getByRole('row').filter({ hasText: text });
    await row('Test').getByText('delivered').waitFor();
    receiver.status = 500;
    await button(page, 'Send a test').click();
    await row('failed').getByText('500', { exact: true }).waitFor();
    receiver.status = 204;
    await row('failed')
      .getByRole('button', { name: /Replay delivery/ })
      .click();
    await row('replay of').getByText('delivered').waitFor();
    await world.api('POST', '/api/users/ext:shopper-51/segments', { slug: 'FOLLOWED' });
    await row('1 change').getByText('delivered').waitFor();
    expect(receiver.messages.some(({ body }) => body.includes('shopper-51'))).toBe(true);
  });

  it('sign with two secrets for a day once one is replaced, and can be paused', async () => {
    const page = await world.open('/feeds');
    await page.getByRole('link', { name: 'delivering' }).click();
    await button(page, 'New secret').click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'New secret' }).click();
    expect(await page.getByRole('textbox', { name: 'Secret' }).inputValue()).toMatch(/^whsec_/);
    await button(page, 'I have saved it').click();
    await says(page, /Messages are signed with the old secret too until/);
    const before = receiver.messages.length;
    await button(page, 'Send a test').click();
    await eventually(() => receiver.messages.length > before);
    expect(String(receiver.messages.at(-1)?.signature).split(' ')).toHaveLength(2);
    await button(page, 'Pause').click();
    await says(page, /Paused: only tests and replays are sent/);
    await button(page, 'Enable').click();
    await page.getByText(/Paused: only tests and replays are sent/).waitFor({ state: 'detached' });
  });

  it('may be looked at by viewers, and are changed by editors', async () => {
    const page = await world.open('/feeds', 'vera');
    await page.getByRole('link', { name: 'mailing list' }).click();
    await says(page, 'Editors and admins can change it.');
    for (const name of ['New webhook', 'Delete']) expect(await button(page, name).count()).toBe(0);
  });
});
