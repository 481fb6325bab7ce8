import { ADMIN_PASSWORD } from '@kohort/testkit/service.ts';
import { describe, expect, it } from 'vitest';
import { button, says, world } from './world.ts';

describe('when something is wrong', () => {
  it('names an unknown segment with the request id', async () => {
    const page = await world.open('/segments/NOWHERE');
    await page
      .getByRole('alert')
      .getByText(/Request [\w-]{8,}/)
      .waitFor();
  });

  it('says in words that something is too large, in both languages', async () => {
    for (const [language, words] of [
      ['en', /The attributes are \d+ bytes of JSON/],
      ['ru', 'Это слишком много для одного запроса.'],
    ] as const) {
      const page = await world.open('/people/ext:shopper-5', 'admin', { language });
      await page.getByRole('button', { name: /^(Edit|Изменить|Править)$/ }).click();
      await page.locator('textarea').fill(JSON.stringify({ note: 'x'.repeat(17_000) }));
      await page.getByRole('button', { name: /^(Save|Сохранить)$/ }).click();
      await page.getByRole('alert').getByText(words).waitFor();
      await page.getByRole('alert').locator('code').waitFor();
    }
  });

  it('says a conflict in the reader’s language, with the name it is about', async () => {
    const page = await world.open('/layers', 'admin', { language: 'ru' });
    await world.api('POST', '/api/layers', { slug: 'TAKEN_LAYER' });
    await page.getByRole('button', { name: 'Новый слой' }).first().click();
    await page.getByRole('dialog').getByRole('textbox').fill('TAKEN_LAYER');
    await page.getByRole('dialog').getByRole('button').last().click();
    await page.getByRole('alert').getByText('уже занято').waitFor();
    await page.getByRole('alert').getByText('TAKEN_LAYER').waitFor();
  });

  it('signs in again over the page when the session is over, and goes on where one was', async () => {
    const page = await world.open('/segments/SHARED', 'admin');
    await page.getByLabel('Description').fill('typed before');
    await page.context().clearCookies();
    await button(page, 'Save').click();
    await says(page, 'Your session is over');
    await page.getByLabel('User name').fill('admin');
    await page.getByLabel('Password').fill(ADMIN_PASSWORD);
    await button(page, 'Sign in').click();
    await page.getByRole('alertdialog').waitFor({ state: 'detached' });
    expect(await page.getByLabel('Description').inputValue()).toBe('typed before');
    await button(page, 'Save').click();
    await says(page, 'Saved.');
  });

  it('says that the service is away, keeps what was typed, and goes on when it is back', async () => {
    const page = await world.open('/segments/SHARED');
    await page.getByLabel('Description').fill('typed while away');
    await world.stopService();
    await button(page, 'Save').click();
    await says(page, /The service does not answer. What you see/);
    await world.startService();
    await page.getByText(/The service does not answer. What you see/).waitFor({ state: 'detached' });
    expect(await page.getByLabel('Description').inputValue()).toBe('typed while away');
    await button(page, 'Save').click();
    await says(page, 'Saved.');
  });

  it('shows hostile names as the text they are', async () => {
    await world.api('POST', '/api/segments', {
      slug: 'HOSTILE',
      description: '<script>alert(1)</script>{name}',
      tags: ['<b>tag</b>'],
      condition: { '<img src=x>': { $in: ['"><svg onload=alert(1)>'] } },
    });
    await world.api('PATCH', '/api/users/ext:%3Cb%3Eme/segments', { add: ['HOSTILE'] });
    const page = await world.open('/segments/HOSTILE/members');
    await says(page, '<script>alert(1)</script>{name}');
    await says(page, '<b>tag</b>');
    await page.getByRole('link', { name: '<b>me' }).waitFor();
    await page.goto('/ui/segments/HOSTILE');
    await page.getByText('"><svg onload=alert(1)>').first().waitFor();
  });
});
