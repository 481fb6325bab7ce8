import { fieldOf } from '@kohort/testkit/http.ts';
import { describe, expect, it } from 'vitest';
import { button, says, world } from './world.ts';

describe('a person', () => {
  it('says why they are in or out of any segment', async () => {
    const page = await world.open('/people/ext:shopper-3');
    await page.getByRole('combobox', { name: 'Ask about any segment' }).fill('SHARED');
    await page.keyboard.press('Escape');
    await button(page, 'Why?').last().click();
    await page
      .getByTestId('why')
      .getByText(/their bucket is/)
      .waitFor();
  });

  it('is asked about a past moment, at an address of its own', async () => {
    const page = await world.open('/people/ext:shopper-1?at=2020-01-01T00%3A00%3A00.000Z');
    await says(page, /In no segment on Jan 1, 2020/);
    await button(page, 'Back to now').click();
    await page.getByRole('link', { name: 'LIST' }).first().waitFor();
  });

  it('is edited by a merge patch', async () => {
    const page = await world.open('/people/ext:shopper-1');
    await button(page, 'Edit').click();
    await page.getByLabel('Attributes as JSON').fill('{"country": "BE", "note": "<img src=x onerror=alert(1)>"}');
    await button(page, 'Save').click();
    await says(page, 'Saved.');
    await says(page, '<img src=x onerror=alert(1)>');
    expect(await world.api('GET', '/api/users/ext:shopper-1')).toMatchObject({
      attributes: { country: 'BE', note: '<img src=x onerror=alert(1)>' },
    });
  });

  it('is erased only once their id was typed', async () => {
    const id = fieldOf(await world.api('GET', '/api/users/ext:shopper-99'), 'id');
    const page = await world.open('/people/ext:shopper-99');
    await button(page, 'Erase').click();
    const dialog = page.getByRole('alertdialog');
    expect(await dialog.getByRole('button', { name: 'Erase' }).isDisabled()).toBe(true);
    await dialog.getByRole('textbox').fill(String(id));
    await dialog.getByRole('button', { name: 'Erase' }).click();
    await says(page, 'Shopper 99 was erased.');
    await expect(world.api('GET', '/api/users/ext:shopper-99')).rejects.toThrow('404');
  });
});
