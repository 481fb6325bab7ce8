import type { Page, Request } from 'playwright-core';

const mostChars = 3000;
const mostNotes = 30;
/** A page that is asked what it shows may be one that hangs. */
const lookMs = 10_000;

/** What went wrong on a page since its journey began, and the requests that have no answer. */
interface Sight {
  readonly notes: string[];
  readonly waiting: Set<Request>;
}

const sights = new WeakMap<Page, Sight>();

/** Refusals are part of the journeys; the browser writes each to its console. */
const isRefusal = (text: string) => /Failed to load resource/.test(text);
const nameOf = (request: Request) => `${request.method()} ${request.url()}`;

/** Notes what goes wrong on a page; what no journey asks for is a complaint. */
export function watch(page: Page, complaints: string[]): void {
  const { notes, waiting } = forget(page);
  const note = (text: string) => {
    notes.push(text);
    if (notes.length > mostNotes) notes.shift();
  };
  const complain = (text: string) => {
    complaints.push(text);
    note(text);
  };
  page.on('crash', () => complain('the page crashed'));
  page.on('pageerror', (error) => complain(error.message));
  page.on('console', (message) => {
    const isBad = message.type() === 'error' || message.type() === 'warning';
    if (isBad && !isRefusal(message.text())) complain(message.text());
  });
  page.on('request', (request) => waiting.add(request));
  page.on('requestfinished', (request) => waiting.delete(request));
  page.on('requestfailed', (request) => {
    waiting.delete(request);
    note(`${nameOf(request)}: ${request.failure()?.errorText}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) note(`${nameOf(response.request())}: ${response.status()}`);
  });
}

/** Forgets what a page did in earlier journeys. */
export function forget(page: Page): Sight {
  const sight = sights.get(page) ?? { notes: [], waiting: new Set() };
  sights.set(page, sight);
  sight.notes.length = 0;
  return sight;
}

function cut(text: string): string {
  const half = mostChars / 2;
  return text.length > mostChars ? `${text.slice(0, half)}\n…\n${text.slice(-half)}` : text;
}

/** The addresses of links say little, and there are many. */
const withoutAddresses = (snapshot: string) => snapshot.replaceAll(/^ *- \/url: .*\n/gm, '');

/** The address of a page, what it shows, what failed on it and what it waits for. */
export async function describePage(page: Page): Promise<string> {
  const { notes = [], waiting = [] } = sights.get(page) ?? {};
  const shown = await page
    .locator('body')
    .ariaSnapshot({ timeout: lookMs })
    .catch((error) => `nothing to be seen: ${error}`);
  return [
    `At ${page.url()}`,
    cut(withoutAddresses(shown)),
    ...notes,
    ...[...waiting].map((request) => `no answer: ${nameOf(request)}`),
  ].join('\n');
}
