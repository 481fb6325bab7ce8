import { eventually } from '@kohort/testkit/eventually.ts';
import type { Request } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { button, PEOPLE, says, world } from './world.ts';

describe('a segment', () => {
  it('is made of a rule, with its count while it is typed', async () => {
    const page = await world.open('/segments');
    await page.getByRole('link', { name: 'New segment' }).first().click();
    await page.getByLabel('Name').fill('DUTCH');
    await button(page, 'Attribute').click();
    await page.getByRole('combobox', { name: 'Attribute' }).fill('coun');
    await page.getByRole('option', { name: /country/ }).click();
    await page.getByRole('combobox', { name: 'Value', exact: true }).click();
    await page.getByRole('option', { name: 'NL', exact: true }).click();
    await eventually(async () => (await page.getByTestId('preview-count').textContent()) === String(PEOPLE / 3));
    await says(page, 'Everyone where country is NL');
    await button(page, 'Create segment').click();
    await page.getByRole('heading', { name: 'DUTCH' }).waitFor();
    expect(await world.api('GET', '/api/segments/DUTCH')).toMatchObject({
      condition: { country: 'NL' },
      percentage: null,
    });
  });

  it('asks a number for what is a number, and nests', async () => {
    const page = await world.open('/segments/DUTCH');
    await button(page, 'Group').click();
    const group = page.getByRole('group', { name: 'Any of' });
    await group.getByRole('combobox', { name: 'Attribute' }).fill('orders');
    await page.keyboard.press('Tab');
    await group.getByRole('button', { name: /Comparison/ }).click();
    await page.getByRole('option', { name: 'is at least', exact: true }).click();
    // What users have there are numbers, so a number is what is offered.
    await group.getByRole('button', { name: /Number Type/ }).waitFor();
    await group.getByRole('combobox', { name: 'Value', exact: true }).fill('5');
    await page.keyboard.press('Tab');
    await eventually(async () => (await page.getByTestId('leaving').textContent()) === `−${PEOPLE / 3 / 2}`);
    expect(await page.getByTestId('entering').textContent()).toBe('+0');
    await says(page, 'Would leave, for example');
    await button(page, 'Save').click();
    await says(page, 'Saved.');
    expect(await world.api('GET', '/api/segments/DUTCH')).toMatchObject({
      condition: { country: 'NL', $or: [{ orders: { $gte: 5 } }] },
    });
  });

  it('warns of an attribute that no user has', async () => {
    const page = await world.open('/segments/DUTCH');
    await button(page, 'Attribute').last().click();
    await page.getByRole('combobox', { name: 'Attribute' }).last().fill('contry');
    await page.keyboard.press('Escape');
    await page.getByRole('combobox', { name: 'Value', exact: true }).last().fill('NL');
    await page
      .getByText(/contry/)
      .first()
      .waitFor();
    await says(page, /no user|nobody/i);
  });

  it('keeps what the rows cannot draw, and takes JSON', async () => {
    await world.api('POST', '/api/segments', { slug: 'DEEP', condition: { address: { city: 'Delft' }, orders: 1 } });
    const page = await world.open('/segments/DEEP');
    await says(page, 'The rows cannot show this part');
    await page.getByRole('combobox', { name: 'Value', exact: true }).fill('2');
    await page.keyboard.press('Tab');
    await button(page, 'Show JSON').click();
    const json = page.getByLabel('Condition as JSON');
    expect(JSON.parse(await json.inputValue())).toEqual({ address: { city: 'Delft' }, orders: 2 });
    await json.fill('{"address": {"city": "Delft"}, "orders": 3');
    await says(page, 'This is not a JSON object yet.');
    await json.fill('{"address": {"city": "Delft"}, "orders": 3}');
    await button(page, 'Save').click();
    await says(page, 'Saved.');
    expect(await world.api('GET', '/api/segments/DEEP')).toMatchObject({
      condition: { address: { city: 'Delft' }, orders: 3 },
    });
  });

  it('is never overwritten: a change in between is shown, and mine goes on top of it', async () => {
    await world.api('POST', '/api/segments', { slug: 'SHARED', percentage: 10 });
    const page = await world.open('/segments/SHARED');
    await page.getByLabel('Percent', { exact: true }).fill('20');
    await world.api('PATCH', '/api/segments/SHARED', { description: 'from elsewhere' });
    await button(page, 'Save').click();
    await says(page, 'Someone saved this segment while you were editing.');
    await page.getByRole('alert').getByText('from elsewhere').waitFor();
    await button(page, 'Keep my edits on top of it').click();
    await button(page, 'Save').click();
    await says(page, 'Saved.');
    expect(await world.api('GET', '/api/segments/SHARED')).toMatchObject({
      percentage: 20,
      description: 'from elsewhere',
    });
  });

  it('asks before what was typed is lost, and back works', async () => {
    const page = await world.open('/segments/SHARED');
    await page.getByLabel('Percent', { exact: true }).fill('33');
    await page.getByRole('link', { name: 'Members' }).click();
    await says(page, 'Leave without saving?');
    await button(page, 'Stay').click();
    expect(await page.getByLabel('Percent', { exact: true }).inputValue()).toBe('33');
    await page.getByRole('link', { name: 'Members' }).click();
    await button(page, 'Leave').click();
    await page.getByRole('searchbox', { name: 'Find a member by name or id' }).waitFor();
    await page.goBack();
    await page.getByLabel('Percent', { exact: true }).waitFor();
  });

  it('has a history in words, and goes back to a version', async () => {
    const page = await world.open('/segments/SHARED/history');
    await page.getByText('from elsewhere').first().waitFor();
    await button(page, 'Restore this version').last().click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Restore this version' }).click();
    await says(page, 'The version was restored.');
    expect(await world.api('GET', '/api/segments/SHARED')).toMatchObject({ percentage: 10, description: null });
  });

  it('is duplicated, found by its address, and deleted unless another names it', async () => {
    await world.api('POST', '/api/segments', { slug: 'NAMES_DEEP', condition: { $inSegment: 'DEEP' }, tags: ['web'] });
    const page = await world.open('/segments/NAMES_DEEP');
    await page.getByRole('link', { name: 'Duplicate' }).click();
    await button(page, 'Create segment').click();
    await page.getByRole('heading', { name: 'NAMES_DEEP_COPY' }).waitFor();
    await page.goto('/ui/segments?query=deep&tag=web&kind=condition');
    await page.getByRole('link', { name: 'NAMES_DEEP_COPY' }).click();
    await button(page, 'Delete').click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click();
    await says(page, 'NAMES_DEEP_COPY was deleted.');
    await page.goto('/ui/segments/DEEP');
    await button(page, 'Delete').click();
    await page.getByRole('alertdialog').getByRole('link', { name: 'NAMES_DEEP' }).waitFor();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('alertdialog').getByRole('alert').waitFor();
  });

  it('takes a range of a layer, which shows what is free', async () => {
    const page = await world.open('/layers');
    await button(page, 'New layer').first().click();
    await page.getByLabel('Name').fill('CHECKOUT');
    const asked: string[] = [];
    const note = (request: Request) => request.method() === 'POST' && asked.push(request.url());
    page.on('request', note);
    await page.getByRole('dialog').getByRole('button', { name: 'New layer' }).dblclick();
    await says(page, 'The whole range is free.');
    page.off('request', note);
    // An impatient second press does not send the form again.
    expect(asked).toHaveLength(1);
    for (const [slug, from, to] of [
      ['OLD_FLOW', '0', '50'],
      ['NEW_FLOW', '40', '60'],
    ] as const) {
      await page.goto('/ui/segments/new');
      await page.getByLabel('Name').fill(slug);
      await page.getByRole('button', { name: /How many of them/ }).click();
      await page.getByRole('option', { name: 'A range of a layer' }).click();
      await page.getByRole('combobox', { name: 'Layer' }).fill('CHECKOUT');
      await page.keyboard.press('Tab');
      await page.getByLabel('From, %').fill(from);
      await page.getByLabel('To, %').fill(to);
      await button(page, 'Create segment').click();
      if (slug === 'OLD_FLOW') await page.getByRole('heading', { name: slug }).waitFor();
    }
    // The second would take what the first has: the service refuses, and says whose it is.
    await page
      .getByRole('alert')
      .getByText(/OLD_FLOW/)
      .waitFor();
    await page.getByLabel('From, %').fill('50');
    await button(page, 'Create segment').click();
    await page.getByRole('heading', { name: 'NEW_FLOW' }).waitFor();
    await says(page, 'Those at 50 % to 60 % of the layer CHECKOUT');
    await page.goto('/ui/layers');
    await page.getByRole('img', { name: 'OLD_FLOW: 0 % – 50 %; NEW_FLOW: 50 % – 60 %' }).waitFor();
  });

  it('grows by itself, and has no members outside its times', async () => {
    const page = await world.open('/segments/new');
    await page.getByLabel('Name').fill('RAMPED');
    await page.getByRole('button', { name: /How many of them/ }).click();
    await page.getByRole('option', { name: 'A growing share of them' }).click();
    await page.getByLabel('Starts at').fill('2026-01-01T00:00');
    await page.getByLabel('Reached at').fill('2026-01-02T00:00');
    await eventually(async () => Number(await page.getByTestId('preview-count').textContent()) > PEOPLE);
    await button(page, 'Set times').click();
    await page.getByLabel('Active from').fill('2090-01-01T00:00');
    await eventually(async () => (await page.getByTestId('preview-count').textContent()) === '0');
    await button(page, 'Create segment').click();
    await page.getByRole('heading', { name: 'RAMPED' }).waitFor();
    // What was just made has no changes to save.
    expect(await button(page, 'Save').isDisabled()).toBe(true);
    expect(await world.api('GET', '/api/segments/RAMPED')).toMatchObject({
      ramp: { from: 0, to: 100, starts_at: '2026-01-01T00:00:00.000Z', ends_at: '2026-01-02T00:00:00.000Z' },
      active_from: '2090-01-01T00:00:00.000Z',
    });
  });
});
