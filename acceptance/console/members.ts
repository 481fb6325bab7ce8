import { eventually } from '@kohort/testkit/eventually.ts';
import { beforeAll, describe, expect, it } from 'vitest';
import { button, countOf, says, world } from './world.ts';

describe('members', () => {
  beforeAll(async () => {
    await world.api('POST', '/api/segments', { slug: 'LIST' });
  });

  it('are added one by one, by a pasted list, and leave with an undo', async () => {
    const page = await world.open('/segments/LIST/members');
    await says(page, 'No members');
    await button(page, 'Add people').click();
    await page.getByRole('combobox', { name: 'External id' }).fill('shopper-1');
    // While suggestions are open, nothing else can be reached.
    await page.keyboard.press('Tab');
    await button(page, 'Add 1 person').click();
    await page.getByRole('link', { name: 'Shopper 1' }).waitFor();
    await button(page, 'Add people').click();
    await page.getByText('Paste a list').click();
    await page.getByRole('textbox', { name: 'Ids' }).fill('shopper-2\nshopper-3, shopper-2\nnew-one');
    await button(page, 'Add 3 people').click();
    await eventually(async () => (await countOf('LIST')) === 4);
  });

  it('are removed, with an undo', async () => {
    const page = await world.open('/segments/LIST/members');
    await button(page, 'Actions for Shopper 1').click();
    await page.getByRole('menuitem', { name: 'Remove' }).click();
    await says(page, 'Shopper 1 was removed.');
    expect(await countOf('LIST')).toBe(3);
    await button(page, 'Undo').click();
    await says(page, 'Shopper 1 is back.');
    expect(await countOf('LIST')).toBe(4);
  });

  it('are excluded until a time, and given an expiry', async () => {
    const page = await world.open('/segments/LIST/members');
    await button(page, 'Actions for Shopper 2').click();
    await page.getByRole('menuitem', { name: 'Set an expiry' }).click();
    await page.getByLabel('Until').fill('2090-01-01T10:00');
    await button(page, 'Save').click();
    await says(page, 'Shopper 2 is in by hand.');
    expect(await world.api('GET', '/api/users/ext:shopper-2/segments/LIST')).toMatchObject({
      source: 'include',
      expires_at: '2090-01-01T10:00:00.000Z',
    });
    await button(page, 'Actions for Shopper 3').click();
    await page.getByRole('menuitem', { name: 'Exclude' }).click();
    await button(page, 'Save').click();
    await says(page, 'Shopper 3 is excluded.');
    expect(await world.api('GET', '/api/users/ext:shopper-3/segments/LIST')).toMatchObject({ source: 'exclude' });
  });

  it('come from a file: the lines that fail are named, and a dry run changes nothing', async () => {
    const before = await countOf('LIST');
    const page = await world.open('/segments/LIST/members');
    await button(page, 'Upload').click();
    const file = (text: string) => ({ name: '<b>people</b>.csv', mimeType: 'text/csv', buffer: Buffer.from(text) });
    await page.locator('input[type=file]').setInputFiles(file('external_id\nshopper-10\nnobody-here\n'));
    await says(page, '<b>people</b>.csv');
    await button(page, 'Check the file').click();
    await page.getByRole('cell', { name: '3', exact: true }).waitFor();
    await says(page, 'Failed');
    await page.locator('input[type=file]').setInputFiles(file('external_id\nshopper-10\nshopper-11\n'));
    await button(page, 'Check the file').click();
    await says(page, 'Dry run: this is what would happen.');
    await button(page, 'Apply it').waitFor();
    expect(await countOf('LIST')).toBe(before);
    await button(page, 'Apply it').click();
    await says(page, 'The file is being applied');
    await eventually(async () => (await countOf('LIST')) === before + 2);
    await button(page, 'Undo').click();
    const question = page.getByRole('alertdialog').filter({ hasText: /Undo job \d+\?/ });
    await question.getByRole('button', { name: 'Undo' }).click();
    await eventually(async () => (await countOf('LIST')) === before);
  });

  it('are all taken out by a file without rows, only once that was meant', async () => {
    await world.api('POST', '/api/segments', { slug: 'EMPTIED' });
    await world.api('PATCH', '/api/segments/EMPTIED/users', { add: ['ext:shopper-20', 'ext:shopper-21'] });
    const page = await world.open('/segments/EMPTIED/members');
    await button(page, 'Upload').click();
    const buffer = Buffer.from('external_id\n');
    await page.locator('input[type=file]').setInputFiles({ name: 'none.csv', mimeType: 'text/csv', buffer });
    await page.getByRole('button', { name: /What to do/ }).click();
    await page.getByRole('option', { name: 'Make them the only members' }).click();
    await button(page, 'Check the file').click();
    await button(page, 'Continue and remove everyone').click();
    await page.getByRole('definition').filter({ hasText: '2' }).waitFor();
    expect(await countOf('EMPTIED')).toBe(2);
    await button(page, 'Apply it').click();
    await eventually(async () => (await countOf('EMPTIED')) === 0);
  });

  it('who are kept out stand in a list of their own, and come back from there', async () => {
    const page = await world.open('/segments/LIST/members');
    await page.getByText('Excluded', { exact: true }).click();
    await page.waitForURL(/show=excluded/);
    await button(page, 'End the exclusion of Shopper 3').click();
    await says(page, 'The rule decides about Shopper 3 again.');
    await says(page, 'No one is excluded');
    expect(await world.api('GET', '/api/users/ext:shopper-3/segments/LIST')).toMatchObject({ source: 'none' });
  });

  it('have a history: who came and went, when and by whom', async () => {
    const page = await world.open('/segments/LIST/history');
    await page.getByText('Members', { exact: true }).last().click();
    await page.waitForURL(/show=members/);
    await page.getByRole('row').filter({ hasText: 'shopper-3' }).getByText('excluded', { exact: true }).waitFor();
    await page
      .getByRole('row')
      .filter({ hasText: 'shopper-10' })
      .getByRole('link', { name: /import \d+/ })
      .first()
      .click();
    await page.getByRole('heading', { name: /^Job \d+$/ }).waitFor();
    await page.goto('/ui/segments/LIST/history?show=members&to=2020-01-01T00%3A00%3A00.000Z');
    await says(page, 'No changes in this period');
  });

  it('are drawn over time, with a table that says the same', async () => {
    const page = await world.open('/segments/LIST/charts?period=day');
    await page.getByRole('img', { name: new RegExp(`now ${await countOf('LIST')}`) }).waitFor();
    await page.getByText('Show as a table').click();
    await page.getByRole('columnheader', { name: 'Size' }).waitFor();
    await page.getByText('Year', { exact: true }).click();
    await page.waitForURL(/period=year/);
  });

  it('are found by name, with the reason of each', async () => {
    const page = await world.open('/segments/LIST/members?query=Shopper%201');
    await page.getByRole('row').getByRole('link', { name: 'Shopper 1', exact: true }).waitFor();
    await page.getByRole('row').getByText('by hand').first().waitFor();
  });

  it('are compared with those of other segments, in a matrix that is a table', async () => {
    const page = await world.open('/overlap');
    await says(page, 'Choose two segments or more');
    for (const slug of ['LIST', 'DUTCH']) {
      await page.getByRole('combobox', { name: 'Add a segment' }).fill(slug);
      await page.getByRole('option', { name: slug, exact: true }).click();
    }
    await page.getByRole('rowheader', { name: 'DUTCH' }).waitFor();
    expect(page.url()).toContain('segments=LIST%2CDUTCH');
    const cell = page.getByRole('row').nth(1).getByRole('cell').first();
    expect(await cell.textContent()).toBe(String(await countOf('LIST')));
  });
});
