import { AxeBuilder } from '@axe-core/playwright';
import { eventually } from '@kohort/testkit/eventually.ts';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { button, world } from './world.ts';

it('is used with the keyboard alone', async () => {
  const page = await world.open('/segments');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  expect(await page.evaluate('document.activeElement.id')).toBe('main');
  await page.keyboard.press('Tab');
  expect(await page.evaluate('document.activeElement.textContent.trim()')).toBe('New segment');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'New segment' }).waitFor();
  // The page puts the focus there once it is shown.
  await page.getByLabel('Name').and(page.locator(':focus')).waitFor();
  await page.keyboard.type('BY_KEYBOARD');
  await page.getByRole('radio', { name: 'By hand' }).focus();
  await page.keyboard.press('Space');
  await button(page, 'Create segment').focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'BY_KEYBOARD' }).waitFor();
});

/** All pages, one after the other, also on a machine that has much else to do. */
const manyPagesMs = 240_000;

const pages = [
  '/segments',
  '/segments/new',
  '/segments/DUTCH',
  '/segments/LIST/members',
  '/segments/LIST/members?show=excluded',
  '/segments/SHARED/history',
  '/segments/LIST/history?show=members',
  '/segments/LIST/charts',
  '/people',
  '/people/ext:shopper-1',
  '/overlap?segments=LIST%2CDUTCH',
  '/layers',
  '/jobs',
  '/feeds',
  '/feeds/1',
  '/webhooks/1',
  '/accounts',
  '/keys',
  '/account',
  '/nowhere',
];

/** Violations of WCAG 2.2 AA, each with the first place it was found at. */
async function violations(page: Page): Promise<readonly string[]> {
  // Several parts of a page may be loading.
  await page
    .getByText(/^(Loading…|Загрузка…)$/)
    .first()
    .waitFor({ state: 'detached' });
  const { violations: found } = await new AxeBuilder({ page })
    // The style sheets need not be fetched again, nor selectors be sought for what is quoted as HTML.
    .options({ resultTypes: ['violations'], preload: false, selectors: false })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    // In the page itself: another one, only to put the results together, takes as long as the search.
    .setLegacyMode()
    .analyze();
  return found.map(({ id, nodes }) => `${page.url()} ${id} ${nodes[0]?.html}`);
}

describe.each([
  { theme: 'light', language: 'en', width: 1280 },
  { theme: 'dark', language: 'ru', width: 360 },
] as const)('a page that is $theme, $language and $width px wide', (look) => {
  it('has no violation that axe can find, and nothing beyond its edge', { timeout: manyPagesMs }, async () => {
    const page = await world.open('/segments', 'admin', look);
    const found: string[] = [];
    for (const path of pages) {
      await page.goto(`/ui${path}`);
      await page.locator('#main h1').waitFor();
      found.push(...(await violations(page)));
      if (await page.evaluate('document.documentElement.scrollWidth > innerWidth')) found.push(`${path} is too wide`);
    }
    expect(found).toEqual([]);
  });
});

it('has no violation in what opens over a page', async () => {
  const page = await world.open('/segments/LIST/members');
  const found: string[] = [];
  for (const name of ['Upload', 'Add people']) {
    await button(page, name).click();
    await page.getByRole('heading', { level: 2 }).first().waitFor();
    found.push(...(await violations(page)));
    await button(page, name === 'Upload' ? 'Close' : 'Cancel').click();
  }
  await button(page, 'Actions for Shopper 1').click();
  await page.getByRole('menu').waitFor();
  found.push(...(await violations(page)));
  await page.goto('/ui/segments/DUTCH');
  await page
    .getByRole('button', { name: /Comparison/ })
    .first()
    .click();
  await page.getByRole('listbox').waitFor();
  found.push(...(await violations(page)));
  await page.keyboard.press('Escape');
  await button(page, 'Delete').click();
  found.push(...(await violations(page)));
  const signIn = await (await world.context()).newPage();
  await signIn.goto('/ui/');
  await button(signIn, 'Sign in').waitFor();
  found.push(...(await violations(signIn)));
  expect(found).toEqual([]);
});

it('lists ten thousand segments, and draws only those in sight', async () => {
  await world.client.query(`
    INSERT INTO segments (slug, percentage, salt, revision, created_at, updated_at)
    SELECT 'ZZ_' || lpad(i::text, 5, '0'), 1, 'salt' || i, 1, now(), now() FROM generate_series(1, 10000) i`);
  const page = await world.open('/segments?query=ZZ_');
  await page.getByRole('link', { name: 'ZZ_00001', exact: true }).waitFor();
  await eventually(async () => {
    await page.evaluate('window.scrollTo(0, document.documentElement.scrollHeight)');
    return (
      (await page.getByRole('link', { name: 'ZZ_01000', exact: true }).count()) === 1 ||
      /00[6-9]\d\d/.test(await page.getByRole('row').last().innerText())
    );
  });
  expect(await page.getByRole('row').count()).toBeLessThan(60);
});
