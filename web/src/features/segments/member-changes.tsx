import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { useMemo } from 'react';
import { api } from '../../api/api.ts';
import type { SegmentChange } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { classes } from '../../ui/classes.ts';
import { Failure } from '../../ui/failure.tsx';
import { TextField } from '../../ui/field.tsx';
import { Empty, layout } from '../../ui/layout.tsx';
import { type Column, Rows } from '../../ui/rows.tsx';
import { ReportButton } from '../reports/report-button.tsx';
import { EventActor, EventBadge } from '../users/event-parts.tsx';
import { PersonLink } from '../users/person-link.tsx';
import { instantOf, localOf } from './draft.ts';

const route = getRouteApi('/segments/$slug/history');
const pageRows = 100;

function useColumns(): readonly Column<SegmentChange>[] {
  const { text, moment } = useSpeech();
  return [
    {
      title: text('members.person'),
      width: 'minmax(0, 2fr)',
      render: ({ user_id, external_id }) => <PersonLink user={{ id: user_id, external_id, name: null }} />,
    },
    { title: text('person.change'), width: 'minmax(0, 1.4fr)', render: (event) => <EventBadge event={event} /> },
    { title: text('person.by'), width: 'minmax(0, 1.4fr)', render: (event) => <EventActor event={event} /> },
    {
      title: text('charts.time'),
      width: '190px',
      isEnd: true,
      render: ({ at }) => <time dateTime={at}>{moment(at)}</time>,
    },
  ];
}

/** The period, whose ends are kept in the address. */
function Range() {
  const { text } = useSpeech();
  const { from = null, to = null } = route.useSearch();
  const navigate = useNavigate({ from: '/segments/$slug/history' });
  const set = (name: 'from' | 'to') => (value: string) =>
    void navigate({ search: (old) => ({ ...old, [name]: instantOf(value) }), replace: true });
  return (
    <>
      <TextField label={text('history.from')} type="datetime-local" value={localOf(from)} onChange={set('from')} />
      <TextField label={text('history.to')} type="datetime-local" value={localOf(to)} onChange={set('to')} />
    </>
  );
}

/** Additions, removals and exclusions, with their time and actor. */
export function MemberChanges({ slug }: { readonly slug: string }) {
  const { text } = useSpeech();
  const { from, to } = route.useSearch();
  const list = useInfiniteQuery({
    queryKey: ['changes', slug, from, to],
    queryFn: ({ signal, pageParam }) => {
      const query = { from, to, limit: pageRows, ...(pageParam && { cursor: pageParam }) };
      return api.segmentChanges({ params: { slug }, query, signal });
    },
    initialPageParam: '',
    getNextPageParam: ({ next_cursor }) => next_cursor,
    placeholderData: keepPreviousData,
  });
  const rows = useMemo(() => list.data?.pages.flatMap(({ changes }) => changes) ?? [], [list.data]);
  const columns = useColumns();
  const isFiltered = from !== undefined || to !== undefined;
  return (
    <>
      <search className={classes(layout.row, layout.ends)}>
        <Range />
        <ReportButton segment={slug} />
      </search>
      {list.error && <Failure error={list.error} onRetry={() => list.refetch()} />}
      {rows.length > 0 && (
        <Rows
          label={text('history.ofMembers')}
          rows={rows}
          columns={columns}
          keyOf={({ at, user_id, action }) => `${at} ${user_id} ${action}`}
          hasMore={list.hasNextPage && !list.isFetchingNextPage}
          onEnd={list.fetchNextPage}
          foot={text(list.hasNextPage ? 'history.shownMore' : 'history.shown', { count: rows.length })}
        />
      )}
      {list.isSuccess && rows.length === 0 && (
        <Empty title={text(isFiltered ? 'history.noneThen' : 'history.noChanges')}>
          {text(isFiltered ? 'history.noneThenHint' : 'history.noChangesHint')}
        </Empty>
      )}
      {list.isPending && <div className={layout.loading}>{text('loading')}</div>}
    </>
  );
}
