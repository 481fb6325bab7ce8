import { createDatabase } from '@kohort/testkit/database.ts';
import { demand, fieldOf, signIn } from '@kohort/testkit/http.ts';
import { ADMIN_PASSWORD, launch, production, type Running } from '@kohort/testkit/service.ts';
import pg from 'pg';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { ensureBuilt, startBrowser } from './browser.ts';

/** A step that takes longer than this has failed: nothing here waits for the clock. */
const stepMs = 20_000;

export interface Look {
  readonly theme?: 'light' | 'dark';
  readonly language?: 'en' | 'ru';
  readonly width?: number;
}

/** One service, one database and one browser for all journeys. */
export interface World {
  readonly service: Running;
  readonly client: pg.Client;
  readonly browser: Browser;
  /** What browsers complained about: violations of the policy, exceptions, failed scripts. */
  readonly complaints: string[];
  api(method: string, path: string, body?: object): Promise<unknown>;
  context(look?: Look): Promise<BrowserContext>;
  /** A page that is signed in, at an address of the console. */
  open(path: string, as?: string, look?: Look): Promise<Page>;
  /** The service is gone, and comes back at the same address. */
  stopService(): Promise<void>;
  startService(): Promise<void>;
  /** Closes what a journey opened. */
  close(): Promise<void>;
  stop(): Promise<void>;
}

/** Refusals are part of the journeys; the browser writes each to its console. */
const isRefusal = (text: string) => /Failed to load resource/.test(text);

/** The world of the journeys, once {@link begin} has made it. */
export let world: World;

async function createWorld(): Promise<World> {
  const [database, browser] = await Promise.all([createDatabase(), startBrowser(), ensureBuilt()]);
  const client = new pg.Client(database.url);
  await client.connect();
  const env = { LOG_LEVEL: 'fatal', WEBHOOK_ALLOW: '127.0.0.0/8' };
  let service = await launch(production(database.url, env));
  const { port } = service;
  const token = await signIn(service.url, 'admin', ADMIN_PASSWORD);
  const complaints: string[] = [];
  const states = new Map<string, Awaited<ReturnType<BrowserContext['storageState']>>>();

  async function context({ theme = 'light', language = 'en', width = 1280 }: Look = {}) {
    const made = await browser.newContext({
      baseURL: service.url,
      colorScheme: theme,
      locale: language,
      viewport: { width, height: 900 },
      timezoneId: 'UTC',
      reducedMotion: 'reduce',
    });
    made.setDefaultTimeout(stepMs);
    made.on('page', (page) => {
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (message) => {
        const isBad = message.type() === 'error' || message.type() === 'warning';
        if (isBad && !isRefusal(message.text())) complaints.push(message.text());
      });
    });
    return made;
  }

  return {
    get service() {
      return service;
    },
    client,
    browser,
    complaints,
    api: (method, path, body) => demand(service.url, method, path, { token, body }),
    context,
    async open(path, as = 'admin', look = {}) {
      const made = await context(look);
      const known = states.get(as);
      if (known) await made.addCookies(known.cookies);
      const page = await made.newPage();
      await page.goto(`/ui${path}`);
      if (!known) {
        await page.locator('input[name=username]').fill(as);
        await page.locator('input[name=password]').fill(ADMIN_PASSWORD);
        await page.locator('button[type=submit]').click();
        await page.locator('#main h1').waitFor();
        states.set(as, await made.storageState());
      }
      await page.locator('#main h1').waitFor();
      return page;
    },
    async stopService() {
      await service.kill('SIGKILL');
    },
    async startService() {
      service = await launch(production(database.url, { ...env, PORT: String(port) }));
    },
    async close() {
      await Promise.all(browser.contexts().map((one) => one.close()));
    },
    async stop() {
      await browser.close();
      await service.kill('SIGTERM');
      await client.end();
      await database.drop();
    },
  };
}

export const PEOPLE = 120;

/** Makes the world: people with attributes, and an account of each role. */
export async function begin(): Promise<void> {
  world = await createWorld();
  await world.client.query(`
    WITH made AS (
      INSERT INTO users (external_id, name, attributes)
      SELECT 'shopper-' || i, 'Shopper ' || i, jsonb_build_object('country', (ARRAY['NL', 'DE', 'FR'])[1 + i % 3], 'orders', i % 10)
      FROM generate_series(1, ${PEOPLE}) i
      RETURNING id, external_id)
    INSERT INTO user_keys (external_id, user_id) SELECT external_id, id FROM made`);
  for (const [username, role] of [
    ['vera', 'viewer'],
    ['mia', 'member'],
  ] as const) {
    const made = await world.api('POST', '/auth/sign-up', { name: username, username, password: ADMIN_PASSWORD });
    await world.api('PATCH', `/api/accounts/${fieldOf(made, 'id')}`, { role });
  }
}

export const says = (page: Page, text: string | RegExp) => page.getByText(text).first().waitFor();
export const button = (page: Page, name: string | RegExp) => page.getByRole('button', { name, exact: true });
export const countOf = async (slug: string) =>
  Number(fieldOf(await world.api('GET', `/api/segments/${slug}/count`), 'count'));
