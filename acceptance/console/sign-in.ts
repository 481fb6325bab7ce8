import { call } from '@kohort/testkit/http.ts';
import { ADMIN_PASSWORD } from '@kohort/testkit/service.ts';
import { describe, expect, it } from 'vitest';
import { button, world } from './world.ts';

describe('signing in', () => {
  it('says when it failed, then leads on to the address that was asked for', async () => {
    const page = await (await world.context()).newPage();
    await page.goto('/ui/people');
    await page.getByLabel('User name').fill('admin');
    await page.getByLabel('Password').fill('wrong');
    await button(page, 'Sign in').click();
    await page.getByRole('alert').waitFor();
    await page.getByLabel('Password').fill(ADMIN_PASSWORD);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'People' }).waitFor();
    expect(page.url()).toMatch(/\/ui\/people/);
  });

  it('says how long to wait after too many attempts', async () => {
    const body = JSON.stringify({ username: 'somebody-else', password: 'wrong' });
    await call(world.service.url, 'POST', '/auth/sign-in', { body });
    // As after many failures: nothing here waits for them.
    const { rowCount } = await world.client.query(
      "UPDATE throttles SET blocked_until = now() + interval '10 minutes' WHERE kind = 'sign_in_account'",
    );
    expect(rowCount).toBeGreaterThan(0);
    const page = await (await world.context()).newPage();
    await page.goto('/ui/');
    await page.getByLabel('User name').fill('somebody-else');
    await page.getByLabel('Password').fill('wrong');
    await button(page, 'Sign in').click();
    await page
      .getByRole('alert')
      .getByText(/Too many attempts. Try again in \d+ second/)
      .waitFor();
    await world.client.query('DELETE FROM throttles');
  });

  it('keeps the token where no script can read it', async () => {
    const page = await world.open('/segments');
    expect(
      await page.evaluate('document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)'),
    ).not.toMatch(/ey[\w-]+\.|session/);
    const [cookie] = await page.context().cookies();
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict' });
  });
});

it('signs out', async () => {
  // A session of its own: it is over afterwards.
  const page = await (await world.context()).newPage();
  await page.goto('/ui/account');
  await page.getByLabel('User name').fill('vera');
  await page.getByLabel('Password').fill(ADMIN_PASSWORD);
  await button(page, 'Sign in').click();
  await button(page, 'Sign out').click();
  await button(page, 'Sign in').waitFor();
  await page.goto('/ui/segments');
  await button(page, 'Sign in').waitFor();
});
