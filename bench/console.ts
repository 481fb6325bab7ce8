import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbedded } from '@kohort/embedded/start.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import { atEnd, endAll } from '@kohort/testkit/processes.ts';
import { ADMIN_PASSWORD, launch, production } from '@kohort/testkit/service.ts';
import pg from 'pg';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { ensureBuilt, startBrowser } from '../acceptance/console/browser.ts';
import { describeMachine, readCommit } from './machine.ts';
import { say } from './progress.ts';

/** Measures how fast the console's pages appear in a browser with an empty cache. `node scripts/run.mjs bench/console.ts` */

const users = 1_000_000;
const segments = 10_000;
const rounds = 5;
/** By then everything has been loaded, including what is fetched when the browser is idle. */
const quietMs = 1_500;

const pages = {
  'ten thousand segments': '/segments',
  'a segment of a million, its rule': '/segments/MILLION',
  'its members': '/segments/MILLION/members',
  'its changes of members': '/segments/MILLION/history?show=members',
  'a million people': '/people',
} as const;

interface Figures {
  /** First and largest contentful paint, and the first row or field of what was asked for: milliseconds from the navigation. */
  readonly fcp: number;
  readonly lcp: number;
  readonly content: number;
  /** How long the main thread was blocked: the sum of what long tasks took beyond 50 ms. */
  readonly tbt: number;
  /** Cumulative layout shift. */
  readonly cls: number;
  readonly kilobytes: number;
  readonly kilobytesBefore: number;
}

/** Runs in the page before anything else. Records when the requested content appears, and the browser's own figures. */
const watch = `
  const seen = (window.figures = { fcp: 0, lcp: 0, content: 0, tbt: 0, cls: 0 });
  const observe = (type, take) =>
    new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true });
  observe('paint', ({ name, startTime }) => { if (name === 'first-contentful-paint') seen.fcp = startTime; });
  observe('largest-contentful-paint', ({ startTime }) => { seen.lcp = startTime; });
  observe('layout-shift', ({ value, hadRecentInput }) => { if (!hadRecentInput) seen.cls += value; });
  observe('longtask', ({ duration }) => { seen.tbt += Math.max(0, duration - 50); });
  const look = () => {
    const found = document.querySelector('#main [role=rowgroup] [role=row] a, #main [data-testid=preview-count]');
    if (found) seen.content = performance.now();
    else requestAnimationFrame(look);
  };
  look();
`;

async function fill(client: pg.Client): Promise<void> {
  say(`writing ${users} users into one segment, beside ${segments} others`);
  await client.query(`
    UPDATE definitions SET revision = 1;
    INSERT INTO segments (slug, salt, revision, created_at, updated_at) VALUES ('MILLION', 'salt', 1, now(), now());
    INSERT INTO segment_versions (segment_id, version, at, actor, action, slug, tags)
    SELECT id, 1, created_at, 'user:1', 'create', slug, tags FROM segments WHERE slug = 'MILLION';
    INSERT INTO segments (slug, percentage, salt, revision, created_at, updated_at)
    SELECT 'S_' || lpad(i::text, 5, '0'), 1, 'salt' || i, 1, now(), now() FROM generate_series(1, ${segments}) i;
    INSERT INTO users (external_id, name, attributes)
    SELECT 'shopper-' || i, 'Shopper ' || i, jsonb_build_object('country', (ARRAY['NL', 'DE', 'FR'])[1 + i % 3], 'orders', i % 10)
    FROM generate_series(1, ${users}) i;
    INSERT INTO user_keys (external_id, user_id) SELECT external_id, id FROM users WHERE external_id IS NOT NULL;
    INSERT INTO memberships (user_id, segment_id, mode, since)
    SELECT u.id, s.id, 'include', s.created_at FROM users u, segments s WHERE s.slug = 'MILLION' AND u.external_id IS NOT NULL;
    INSERT INTO history (user_id, segment_id, op, mode, at, actor)
    SELECT m.user_id, m.segment_id, 'add', m.mode, m.since, 'user:1' FROM memberships m;`);
  await client.query('VACUUM (ANALYZE) users, memberships, history, segments');
}

async function signIn(context: BrowserContext): Promise<void> {
  const page = await context.newPage();
  await page.goto('/ui/');
  await page.locator('input[name=username]').fill('admin');
  await page.locator('input[name=password]').fill(ADMIN_PASSWORD);
  await page.locator('button[type=submit]').click();
  await page.locator('#main h1').waitFor();
  await page.close();
}

/** The bytes of all answers on the wire, including headers. */
async function countBytes(page: Page): Promise<() => number> {
  const session = await page.context().newCDPSession(page);
  let bytes = 0;
  await session.send('Network.enable');
  await session.send('Network.setCacheDisabled', { cacheDisabled: true });
  session.on('Network.loadingFinished', ({ encodedDataLength }) => {
    bytes += encodedDataLength;
  });
  return () => bytes / 1000;
}

async function load(context: BrowserContext, path: string): Promise<Figures> {
  const page = await context.newPage();
  await page.addInitScript(watch);
  const kilobytes = await countBytes(page);
  await page.goto(`/ui${path}`);
  await eventually(() => page.evaluate<boolean>('window.figures.content > 0'));
  const kilobytesBefore = kilobytes();
  await page.waitForTimeout(quietMs);
  const seen = await page.evaluate<Omit<Figures, 'kilobytes' | 'kilobytesBefore'>>('window.figures');
  await page.close();
  return { ...seen, kilobytes: kilobytes(), kilobytesBefore };
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

async function measure(browser: Browser, url: string): Promise<void> {
  const context = await browser.newContext({ baseURL: url, locale: 'en', viewport: { width: 1280, height: 900 } });
  await signIn(context);
  const [load1 = 0] = loadavg();
  const machine = describeMachine();
  say(`${machine.processor}, ${machine.cores} cores, load ${load1.toFixed(1)}, commit ${await readCommit()}`);
  const lines = [
    '| Page | FCP | LCP | first content | TBT | CLS | until then | in all |',
    '|---|---|---|---|---|---|---|---|',
  ];
  for (const [name, path] of Object.entries(pages)) {
    const seen: Figures[] = [];
    for (let i = 0; i < rounds; i++) seen.push(await load(context, path));
    const of = (pick: (figures: Figures) => number) => median(seen.map(pick));
    const ms = (pick: (figures: Figures) => number) => `${Math.round(of(pick))} ms`;
    const kB = (pick: (figures: Figures) => number) => `${Math.round(of(pick))} kB`;
    lines.push(
      `| ${name} | ${ms(({ fcp }) => fcp)} | ${ms(({ lcp }) => lcp)} | ${ms(({ content }) => content)} | ${ms(({ tbt }) => tbt)} ` +
        `| ${of(({ cls }) => cls).toFixed(3)} | ${kB((one) => one.kilobytesBefore)} | ${kB((one) => one.kilobytes)} |`,
    );
  }
  process.stdout.write(`${lines.join('\n')}\n`);
}

async function main(): Promise<void> {
  await ensureBuilt();
  const folder = await mkdtemp(join(tmpdir(), 'kohort-console-'));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  const postgres = await startEmbedded({ folder, settings: { shared_buffers: '512MB', max_wal_size: '4GB' } });
  atEnd(postgres.stop);
  const service = await launch(production(postgres.url));
  atEnd(async () => void (await service.kill('SIGTERM')));
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await fill(client);
  await client.end();
  const browser = await startBrowser();
  atEnd(() => browser.close());
  await measure(browser, service.url);
}

try {
  await main();
} finally {
  await endAll();
}
