import { createDatabase } from '@kohort/testkit/database.ts';
import { demand, fieldOf, signIn } from '@kohort/testkit/http.ts';
import { ADMIN_PASSWORD, launch, production, type Running } from '@kohort/testkit/service.ts';
import pg from 'pg';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { ensureBuilt, startBrowser } from './browser.ts';
import { describePage, forget, watch } from './sight.ts';

/** It only ends what hangs: on a busy machine a step may take many times as long as on an idle one. */
const stepMs = 120_000;

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
  /**
   * A page that is signed in, at an address of the console. The same account has the same window in all journeys, as a reader has:
   * a new one would load and compile the console again.
   */
  open(path: string, as?: string, look?: Look): Promise<Page>;
  /** The service is gone, and comes back at the same address. */
  stopService(): Promise<void>;
  startService(): Promise<void>;
  /** What the pages of a journey show, for its error. */
  describe(): Promise<string>;
  /** Closes what a journey opened, but for the windows that {@link World.open} keeps; after a failure those too. */
  close(hasFailed: boolean): Promise<void>;
  stop(): Promise<void>;
}

/** A window of its own. */
async function openContext(browser: Browser, baseURL: string, look: Look): Promise<BrowserContext> {
  const { theme = 'light', language = 'en', width = 1280 } = look;
  const made = await browser.newContext({
    baseURL,
    colorScheme: theme,
    locale: language,
    viewport: { width, height: 900 },
    timezoneId: 'UTC',
    reducedMotion: 'reduce',
  });
  made.setDefaultTimeout(stepMs);
  return made;
}

async function signInAs(page: Page, username: string): Promise<void> {
  await page.locator('input[name=username]').fill(username);
  await page.locator('input[name=password]').fill(ADMIN_PASSWORD);
  await page.locator('button[type=submit]').click();
}

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
  const kept = new Map<string, Page>();
  const used = new Set<Page>();

  const context = async (look: Look = {}) => {
    const made = await openContext(browser, service.url, look);
    made.on('page', (page) => {
      watch(page, complaints);
      used.add(page);
    });
    return made;
  };
  const pageOf = async (as: string, look: Look) => {
    const key = JSON.stringify([as, look]);
    const page = kept.get(key) ?? (await (await context(look)).newPage());
    kept.set(key, page);
    return page;
  };

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
      const page = await pageOf(as, look);
      forget(page);
      used.add(page);
      await page.goto(`/ui${path}`);
      const heading = page.locator('#main h1');
      const username = page.locator('input[name=username]');
      await heading.or(username).first().waitFor();
      if (await username.isVisible()) await signInAs(page, as);
      await heading.waitFor();
      return page;
    },
    async stopService() {
      await service.kill('SIGKILL');
    },
    async startService() {
      service = await launch(production(database.url, { ...env, PORT: String(port) }));
    },
    describe: async () => (await Promise.all([...used].map(describePage))).join('\n\n'),
    async close(hasFailed) {
      used.clear();
      if (hasFailed) kept.clear();
      const keeps = new Set([...kept.values()].map((page) => page.context()));
      await Promise.all(browser.contexts().flatMap((one) => (keeps.has(one) ? [] : [one.close()])));
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
