import type { Kind } from './features/conditions/words.ts';

/** The query strings of pages: filters, periods, which of two lists. */
export const kinds = ['list', 'percentage', 'ramp', 'layer', 'condition', 'both'] as const satisfies readonly Kind[];

export const periods = ['day', 'week', 'month', 'year'] as const;
export type Period = (typeof periods)[number];

export const memberLists = ['members', 'excluded'] as const;
export type MemberList = (typeof memberLists)[number];

export const histories = ['rule', 'members'] as const;
export type History = (typeof histories)[number];

export const jobStates = ['receiving', 'queued', 'running', 'done', 'failed', 'cancelled'] as const;
export const jobKinds = [
  'segment_import',
  'user_import',
  'segment_import_undo',
  'user_import_undo',
  'question',
] as const;

type Search = Readonly<Record<string, unknown>>;

/** Reads a parameter of the address as text; an empty one counts as absent. */
export function textOf(search: Search, name: string): string | undefined {
  const value = search[name];
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function oneOf<T extends string>(values: readonly T[], value: unknown): T | undefined {
  return values.find((one) => one === value);
}

export const readSegments = (search: Search): { query?: string; tag?: string; kind?: Kind } => ({
  query: textOf(search, 'query'),
  tag: textOf(search, 'tag'),
  kind: oneOf(kinds, search.kind),
});
export const readQuery = (search: Search): { query?: string } => ({ query: textOf(search, 'query') });
export const readMembers = (search: Search): { query?: string; show?: MemberList } => ({
  query: textOf(search, 'query'),
  show: oneOf(memberLists, search.show),
});
export const readHistory = (search: Search): { show?: History; from?: string; to?: string } => ({
  show: oneOf(histories, search.show),
  from: textOf(search, 'from'),
  to: textOf(search, 'to'),
});
export const readPeriod = (search: Search): { period?: Period } => ({ period: oneOf(periods, search.period) });
export const readJobs = (search: Search): { state?: (typeof jobStates)[number]; kind?: (typeof jobKinds)[number] } => ({
  state: oneOf(jobStates, search.state),
  kind: oneOf(jobKinds, search.kind),
});
