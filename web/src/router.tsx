import { createRootRoute, createRoute, createRouter, Navigate } from '@tanstack/react-router';
import { AccountPage } from './features/accounts/account.tsx';
import { AccountsPage } from './features/accounts/accounts.tsx';
import type { Kind } from './features/conditions/words.ts';
import { JobPage, JobsPage } from './features/jobs/jobs.tsx';
import { KeysPage } from './features/keys/keys.tsx';
import { LayersPage } from './features/layers/layers.tsx';
import { MembersTab } from './features/members/members-tab.tsx';
import { OverlapPage } from './features/overlap/overlap.tsx';
import { ChartsTab, type Period, periods } from './features/segments/charts-tab.tsx';
import { HistoryTab } from './features/segments/history-tab.tsx';
import { kinds, SegmentsPage } from './features/segments/list.tsx';
import { NewSegmentPage } from './features/segments/new.tsx';
import { RuleTab } from './features/segments/rule-tab.tsx';
import { SegmentLayout } from './features/segments/segment.tsx';
import { PeoplePage } from './features/users/people.tsx';
import { PersonPage } from './features/users/person.tsx';
import { useMay, useMe } from './session/session.tsx';
import { NotFound } from './shell/not-found.tsx';
import { Shell } from './shell/shell.tsx';

type Search = Readonly<Record<string, unknown>>;

/** Whatever is in the address is only a text here; an empty one is as if it were not there. */
function textOf(search: Search, name: string): string | undefined {
  const value = search[name];
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

const oneOf = <T extends string>(values: readonly T[], value: unknown): T | undefined =>
  values.find((one) => one === value);

/** A member sees themselves, everybody else begins with the segments. */
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

const start = createRoute({ ...at('/'), component: Start });
const segments = createRoute({
  ...at('/segments'),
  component: SegmentsPage,
  validateSearch: (search: Search): { query?: string; tag?: string; kind?: Kind } => ({
    query: textOf(search, 'query'),
    tag: textOf(search, 'tag'),
    kind: oneOf(kinds, search.kind),
  }),
});
const newSegment = createRoute({
  ...at('/segments/new'),
  component: NewSegmentPage,
  validateSearch: (search: Search): { from?: string } => ({ from: textOf(search, 'from') }),
});
const segment = createRoute({ ...at('/segments/$slug'), component: SegmentLayout });
const inSegment = <P extends string>(path: P) => ({ getParentRoute: () => segment, path });
const rule = createRoute({ ...inSegment('/'), component: RuleTab });
const members = createRoute({
  ...inSegment('/members'),
  component: MembersTab,
  validateSearch: (search: Search): { query?: string } => ({ query: textOf(search, 'query') }),
});
const history = createRoute({ ...inSegment('/history'), component: HistoryTab });
const charts = createRoute({
  ...inSegment('/charts'),
  component: ChartsTab,
  validateSearch: (search: Search): { period?: Period } => ({ period: oneOf(periods, search.period) }),
});
const people = createRoute({
  ...at('/people'),
  component: PeoplePage,
  validateSearch: (search: Search): { query?: string } => ({ query: textOf(search, 'query') }),
});
const person = createRoute({
  ...at('/people/$user'),
  component: PersonPage,
  validateSearch: (search: Search): { at?: string } => ({ at: textOf(search, 'at') }),
});
const overlap = createRoute({
  ...at('/overlap'),
  component: OverlapPage,
  validateSearch: (search: Search): { segments?: string } => ({ segments: textOf(search, 'segments') }),
});
const layers = createRoute({ ...at('/layers'), component: LayersPage });
const jobs = createRoute({ ...at('/jobs'), component: JobsPage });
const job = createRoute({ ...at('/jobs/$id'), component: JobPage });
const accounts = createRoute({ ...at('/accounts'), component: AccountsPage });
const keys = createRoute({ ...at('/keys'), component: KeysPage });
const account = createRoute({ ...at('/account'), component: AccountPage });

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
    accounts,
    keys,
    account,
  ]),
  basepath: new URL(document.baseURI).pathname,
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
