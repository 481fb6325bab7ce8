import { describe, expect, it } from 'vitest';
import { button, says, world } from './world.ts';

describe('accounts and keys', () => {
  it('shows a key once, and revokes it', async () => {
    const page = await world.open('/keys');
    await button(page, 'New key').first().click();
    await page.getByLabel('Name').fill('checkout');
    await page.getByRole('dialog').getByRole('button', { name: 'New key' }).click();
    expect(await page.getByLabel('Key', { exact: true }).inputValue()).not.toBe('');
    await button(page, 'I have saved it').click();
    await button(page, 'Revoke checkout').click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Revoke' }).click();
    await says(page, 'No keys yet');
  });

  it('changes a role, and names the last admin who stays', async () => {
    const page = await world.open('/accounts');
    await page.getByRole('button', { name: /Role of mia/ }).click();
    await page.getByRole('option', { name: 'Viewer' }).click();
    await says(page, 'mia was changed.');
    await page.getByRole('button', { name: /Role of mia/ }).click();
    await page.getByRole('option', { name: 'Member' }).click();
    await page.getByRole('button', { name: /Member Role of mia/ }).waitFor();
    await button(page, 'Disable').first().click();
    await says(page, /last admin/i);
  });

  it('offers nothing that a role may not do, and says who may', async () => {
    const page = await world.open('/segments/DUTCH', 'vera');
    await says(page, 'Editors and admins can change it.');
    for (const name of ['Save', 'Delete', 'Attribute']) expect(await button(page, name).count()).toBe(0);
    expect(await page.getByRole('link', { name: 'Accounts' }).count()).toBe(0);
    await page.goto('/ui/accounts');
    await says(page, 'Only admins can see and change this.');
  });

  it('shows a member nothing but themselves', async () => {
    const page = await world.open('/', 'mia');
    await page.getByRole('heading', { name: 'mia' }).waitFor();
    await says(page, 'You can see only yourself.');
  });
});
