import { ADMIN_PASSWORD } from '@kohort/testkit/service.ts';
import type { Route } from 'playwright-core';
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

  it('shows what was made while the list was still on its way', async () => {
    const page = await world.open('/account');
    const json = await world.api('GET', '/api/layers');
    let isMade = false;
    const made = page
      .waitForResponse((response) => response.request().method() === 'POST' && response.ok())
      .then((response) => {
        isMade = true;
        return response.finished();
      });
    // If it is never awaited, the failure has been reported already.
    made.catch(() => undefined);
    // The list from before comes only once the page knows that the layer is made: its answer to a later request proves that.
    const answerLate = async (route: Route) => {
      if (isMade) return route.continue();
      await made;
      await page.evaluate('fetch("/healthz").then((answer) => answer.text())');
      await route.fulfill({ json });
    };
    await page.route(/\/api\/layers\?/, answerLate);
    await page.getByRole('link', { name: 'Layers' }).click();
    await button(page, 'New layer').first().click();
    await page.getByLabel('Name').fill('SLOW_LIST');
    await page.getByRole('dialog').getByRole('button', { name: 'New layer' }).click();
    await page.getByRole('heading', { name: 'SLOW_LIST' }).waitFor();
    // Without waiting, a list still held would be let through here, and answering it would fail.
    await page.unrouteAll({ behavior: 'wait' });
    await page.getByRole('heading', { name: 'SLOW_LIST' }).waitFor();
  });

  it('signs in again over the page when the session has ended, and continues where it was', async () => {
    const page = await world.open('/segments/SHARED', 'admin');
    await page.getByLabel('Description').fill('typed before');
    await page.context().clearCookies();
    await button(page, 'Save').click();
    await says(page, 'Your session has ended');
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
    await says(page, /The service does not answer. This page and your input stay/);
    await world.startService();
    await page.getByText(/The service does not answer. This page and your input stay/).waitFor({ state: 'detached' });
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
