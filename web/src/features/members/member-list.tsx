import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { api } from '../../api/api.ts';
import type { Member } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { useMay } from '../../session/session.tsx';
import { Failure } from '../../ui/failure.tsx';
import { SearchField } from '../../ui/field.tsx';
import { Empty, layout } from '../../ui/layout.tsx';
import { ActionMenu } from '../../ui/menu.tsx';
import { type Column, Rows } from '../../ui/rows.tsx';
import { useSettledChange } from '../../ui/settled.ts';
import { countQuery } from '../segments/queries.ts';
import { PersonLink } from '../users/person-link.tsx';
import { useMemberActions } from './actions.ts';
import { Expiry } from './expiry.tsx';
import { SourceBadge } from './source-badge.tsx';
import { UntilDialog } from './until-dialog.tsx';

const route = getRouteApi('/segments/$slug/members');
const pageRows = 200;

/** The members whose name or id matches, and why they are in. */
async function found(slug: string, query: string, signal: AbortSignal): Promise<readonly Member[]> {
  const { users } = await api.listUsers({ query: { query, limit: 100 }, signal });
  const byId = /^[1-9]\d{0,15}$/.test(query)
    ? await api.readUser({ params: { user: query }, signal }).catch(() => undefined)
    : undefined;
  const all = byId && !users.some(({ id }) => id === byId.id) ? [byId, ...users] : users;
  if (all.length === 0) return [];
  const { results } = await api.resolve({ body: { users: all.map(({ id }) => String(id)), segments: [slug] }, signal });
  const inside = all.filter((_, index) => results[index]?.segments?.includes(slug));
  return Promise.all(
    inside.map(async ({ id, external_id, name }) => {
      const why = await api.explainPair({ params: { user: String(id), slug }, signal });
      return { id, external_id, name, source: why.source, since: null, expires_at: why.expires_at };
    }),
  );
}

function MemberMenu({ member, slug }: { readonly member: Member; readonly slug: string }) {
  const { text } = useSpeech();
  const actions = useMemberActions();
  const [asks, setAsks] = useState<'include' | 'exclude'>();
  const name = member.name ?? member.external_id ?? `#${member.id}`;
  const held = { user: String(member.id), name, slug, source: member.source, expires_at: member.expires_at };
  return (
    <>
      <ActionMenu
        label={text('members.actions', { name })}
        actions={[
          { id: 'remove', text: text('members.remove'), run: () => actions.remove(held), isDanger: true },
          { id: 'exclude', text: text('members.exclude'), run: () => setAsks('exclude') },
          { id: 'until', text: text('members.setExpiry'), run: () => setAsks('include') },
          ...(member.source === 'include'
            ? [{ id: 'auto', text: text('members.auto'), run: () => actions.set(held, 'auto') }]
            : []),
        ]}
      />
      {asks && (
        <UntilDialog
          title={text(asks === 'include' ? 'members.expiryTitle' : 'members.excludeTitle', { name })}
          initial={asks === 'include' ? member.expires_at : null}
          onClose={() => setAsks(undefined)}
          onChoose={(expires_at) => actions.set(held, asks, expires_at)}
        />
      )}
    </>
  );
}

function useColumns(slug: string, mayEdit: boolean): readonly Column<Member>[] {
  const { text, moment } = useSpeech();
  return [
    { title: text('members.person'), width: 'minmax(0, 2.4fr)', render: (member) => <PersonLink user={member} /> },
    { title: text('members.why'), width: 'minmax(0, 1.6fr)', render: ({ source }) => <SourceBadge source={source} /> },
    {
      title: text('members.since'),
      width: 'minmax(0, 1.1fr)',
      isWideOnly: true,
      render: ({ since }) => since && <time dateTime={since}>{moment(since)}</time>,
    },
    {
      title: text('members.expires'),
      width: 'minmax(0, 1.1fr)',
      render: ({ expires_at }) => <Expiry at={expires_at} />,
    },
    ...(mayEdit
      ? [
          {
            title: text('actions'),
            width: '64px',
            isEnd: true,
            render: (member: Member) => <MemberMenu member={member} slug={slug} />,
          },
        ]
      : []),
  ];
}

/** All members, page by page, or those that the query finds. */
function useMembers(slug: string, query: string) {
  const list = useInfiniteQuery({
    queryKey: ['members', slug],
    queryFn: ({ signal, pageParam }) =>
      api.listMembers({
        params: { slug },
        query: { limit: pageRows, ...(pageParam && { cursor: pageParam }) },
        signal,
      }),
    initialPageParam: '',
    getNextPageParam: ({ next_cursor }) => next_cursor,
  });
  const hits = useQuery({
    queryKey: ['members', slug, 'found', query],
    queryFn: ({ signal }) => found(slug, query, signal),
    enabled: query !== '',
    placeholderData: keepPreviousData,
  });
  const all = useMemo(() => list.data?.pages.flatMap(({ users }) => users) ?? [], [list.data]);
  const rows = query === '' ? all : (hits.data ?? []);
  const failed = query === '' ? list : hits;
  const isSettled = query === '' ? list.isSuccess : hits.isSuccess;
  return { list, rows, failed, isSettled };
}

/** The members, with a search. */
export function MemberList({ slug }: { readonly slug: string }) {
  const { text, number } = useSpeech();
  const search = route.useSearch();
  const navigate = useNavigate({ from: '/segments/$slug/members' });
  const mayEdit = useMay('editor');
  const [typed, setTyped] = useState(search.query ?? '');
  const query = useSettledChange(typed.trim(), (next) => {
    void navigate({ search: (old) => ({ ...old, query: next || undefined }), replace: true });
  });
  const count = useQuery(countQuery(slug)).data?.count;
  const { list, rows, failed, isSettled } = useMembers(slug, query);
  const columns = useColumns(slug, mayEdit);
  return (
    <>
      <SearchField label={text('members.search')} value={typed} onChange={setTyped} />
      {failed.error && <Failure error={failed.error} onRetry={() => failed.refetch()} />}
      {rows.length > 0 && (
        <Rows
          label={text('tab.members')}
          rows={rows}
          columns={columns}
          keyOf={({ id }) => id}
          hasMore={query === '' && list.hasNextPage && !list.isFetchingNextPage}
          onEnd={list.fetchNextPage}
          foot={
            query === '' && count !== undefined
              ? text('members.shown', { count: rows.length, total: number(count) })
              : text('members.found', { count: rows.length })
          }
        />
      )}
      {isSettled && rows.length === 0 && (
        <Empty title={text(query === '' ? 'members.none' : 'members.noneFound')}>
          {text(query === '' ? 'members.noneHint' : 'members.noneFoundHint')}
        </Empty>
      )}
      {!isSettled && !failed.error && rows.length === 0 && <div className={layout.loading}>{text('loading')}</div>}
    </>
  );
}
