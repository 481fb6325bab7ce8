import { eventually } from '@kohort/testkit/eventually.ts';
import { beforeAll, describe, expect, it } from 'vitest';
import { button, says, world } from './world.ts';

describe('feeds', () => {
  beforeAll(async () => {
    await world.api('POST', '/api/segments', { slug: 'FOLLOWED' });
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
      await button(page, 'Read further').click();
      return (await page.getByRole('row').filter({ hasText: 'shopper-50' }).getByText('added by hand').count()) === 1;
    });
  });

  it('may be looked at by viewers, and are changed by editors', async () => {
    const page = await world.open('/feeds', 'vera');
    await page.getByRole('link', { name: 'mailing list' }).click();
    await says(page, 'Editors and admins may change it.');
    for (const name of ['Delete']) expect(await button(page, name).count()).toBe(0);
  });
});
