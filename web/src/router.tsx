import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Navigate } from '@tanstack/react-router';
import { SegmentsPage } from './features/segments/list.tsx';
import { readHistory, readJobs, readMembers, readPeriod, readQuery, readSegments, textOf } from './search.ts';
import { loadSessionParts, useMay, useMe } from './session/session.tsx';
import { NotFound } from './shell/not-found.tsx';
import { Shell } from './shell/shell.tsx';

/** Members start at their own page, all others at the segments. */
function Start() {
  const me = useMe();
  return useMay('viewer') ? (
    <Navigate to="/segments" replace />
  ) : (
    <Navigate to="/people/$user" params={{ user: String(me.id) }} replace />
  );
}

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });
const at = <P extends string>(path: P) => ({ getParentRoute: () => root, path });

// The first page is part of the main chunk; the others are fetched on demand.
const start = createRoute({ ...at('/'), component: Start });
const segments = createRoute({ ...at('/segments'), component: SegmentsPage, validateSearch: readSegments });
const newSegment = createRoute({
  ...at('/segments/new'),
  component: lazyRouteComponent(() => import('./features/segments/new.tsx'), 'NewSegmentPage'),
  validateSearch: (search: Record<string, unknown>): { from?: string } => ({ from: textOf(search, 'from') }),
});

const segment = createRoute({
  ...at('/segments/$slug'),
  component: lazyRouteComponent(() => import('./features/segments/segment.tsx'), 'SegmentLayout'),
});
const inSegment = <P extends string>(path: P) => ({ getParentRoute: () => segment, path });
const rule = createRoute({
  ...inSegment('/'),
  component: lazyRouteComponent(() => import('./features/segments/rule-tab.tsx'), 'RuleTab'),
});
const members = createRoute({
  ...inSegment('/members'),
  component: lazyRouteComponent(() => import('./features/members/members-tab.tsx'), 'MembersTab'),
  validateSearch: readMembers,
});
const history = createRoute({
  ...inSegment('/history'),
  component: lazyRouteComponent(() => import('./features/segments/history-tab.tsx'), 'HistoryTab'),
  validateSearch: readHistory,
});
const charts = createRoute({
  ...inSegment('/charts'),
  component: lazyRouteComponent(() => import('./features/segments/charts-tab.tsx'), 'ChartsTab'),
  validateSearch: readPeriod,
});

const people = createRoute({
  ...at('/people'),
  component: lazyRouteComponent(() => import('./features/users/people.tsx'), 'PeoplePage'),
  validateSearch: readQuery,
});
const person = createRoute({
  ...at('/people/$user'),
  component: lazyRouteComponent(() => import('./features/users/person.tsx'), 'PersonPage'),
  validateSearch: (search: Record<string, unknown>): { at?: string } => ({ at: textOf(search, 'at') }),
});
const overlap = createRoute({
  ...at('/overlap'),
  component: lazyRouteComponent(() => import('./features/overlap/overlap.tsx'), 'OverlapPage'),
  validateSearch: (search: Record<string, unknown>): { segments?: string } => ({
    segments: textOf(search, 'segments'),
  }),
});
const layers = createRoute({
  ...at('/layers'),
  component: lazyRouteComponent(() => import('./features/layers/layers.tsx'), 'LayersPage'),
});
const jobs = createRoute({
  ...at('/jobs'),
  component: lazyRouteComponent(() => import('./features/jobs/jobs.tsx'), 'JobsPage'),
  validateSearch: readJobs,
});
const job = createRoute({
  ...at('/jobs/$id'),
  component: lazyRouteComponent(() => import('./features/jobs/job-page.tsx'), 'JobPage'),
});
const feeds = createRoute({
  ...at('/feeds'),
  component: lazyRouteComponent(() => import('./features/feeds/feeds.tsx'), 'FeedsPage'),
});
const feed = createRoute({
  ...at('/feeds/$id'),
  component: lazyRouteComponent(() => import('./features/feeds/feed.tsx'), 'FeedPage'),
});
const webhook = createRoute({
  ...at('/webhooks/$id'),
  component: lazyRouteComponent(() => import('./features/webhooks/webhook.tsx'), 'WebhookPage'),
});
const accounts = createRoute({
  ...at('/accounts'),
  component: lazyRouteComponent(() => import('./features/accounts/accounts.tsx'), 'AccountsPage'),
});
const keys = createRoute({
  ...at('/keys'),
  component: lazyRouteComponent(() => import('./features/keys/keys.tsx'), 'KeysPage'),
});
const account = createRoute({
  ...at('/account'),
  component: lazyRouteComponent(() => import('./features/accounts/account.tsx'), 'AccountPage'),
});

export const router = createRouter({
  routeTree: root.addChildren([
    start,
    segments,
    newSegment,
    segment.addChildren([rule, members, history, charts]),
    people,
    person,
    overlap,
    layers,
    jobs,
    job,
    feeds,
    feed,
    webhook,
    accounts,
    keys,
    account,
  ]),
  basepath: new URL(document.baseURI).pathname,
  // A page is fetched as soon as the pointer is over its link.
  defaultPreload: 'intent',
  scrollRestoration: true,
});

/** Fetches the chunks of all pages. A chunk that fails is fetched again on demand. */
export function loadPages(): void {
  const loads = Object.values(router.routesById).map(({ options: { component } }) =>
    component && 'preload' in component ? component.preload?.() : undefined,
  );
  void Promise.allSettled([...loads, loadSessionParts()]);
}

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
