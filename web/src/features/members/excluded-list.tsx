import { useInfiniteQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { api } from '../../api/api.ts';
import type { Override } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Empty, layout } from '../../ui/layout.tsx';
import { type Column, Rows } from '../../ui/rows.tsx';
import { PersonLink } from '../users/person-link.tsx';
import { useMemberActions } from './actions.ts';
import { Expiry } from './expiry.tsx';

const pageRows = 200;

function EndExclusion({ override, slug }: { readonly override: Override; readonly slug: string }) {
  const { text } = useSpeech();
  const actions = useMemberActions();
  const { user_id, expires_at } = override;
  const name = override.name ?? override.external_id ?? `#${user_id}`;
  return (
    <Button
      isSmall
      aria-label={text('members.endExclusionOf', { name })}
      onPress={() => actions.set({ user: String(user_id), name, slug, source: 'exclude', expires_at }, 'auto')}
    >
      {text('members.endExclusion')}
    </Button>
  );
}

function useColumns(slug: string): readonly Column<Override>[] {
  const { text, moment } = useSpeech();
  const mayEdit = useMay('editor');
  return [
    {
      title: text('members.person'),
      width: 'minmax(0, 2.4fr)',
      render: ({ user_id, ...named }) => <PersonLink user={{ ...named, id: user_id }} />,
    },
    {
      title: text('members.since'),
      width: 'minmax(0, 1.2fr)',
      render: ({ since }) => <time dateTime={since}>{moment(since)}</time>,
    },
    {
      title: text('members.expires'),
      width: 'minmax(0, 1.2fr)',
      render: ({ expires_at }) => <Expiry at={expires_at} />,
    },
    ...(mayEdit
      ? [
          {
            title: text('actions'),
            width: '180px',
            isEnd: true,
            render: (override: Override) => <EndExclusion override={override} slug={slug} />,
          },
        ]
      : []),
  ];
}

/** People who are kept out by hand, regardless of the rule. */
export function ExcludedList({ slug }: { readonly slug: string }) {
  const { text } = useSpeech();
  const list = useInfiniteQuery({
    queryKey: ['members', slug, 'excluded'],
    queryFn: ({ signal, pageParam }) => {
      const query = { mode: 'exclude' as const, limit: pageRows, ...(pageParam && { cursor: pageParam }) };
      return api.listOverrides({ params: { slug }, query, signal });
    },
    initialPageParam: '',
    getNextPageParam: ({ next_cursor }) => next_cursor,
  });
  const rows = useMemo(() => list.data?.pages.flatMap(({ overrides }) => overrides) ?? [], [list.data]);
  const columns = useColumns(slug);
  return (
    <>
      {list.error && <Failure error={list.error} onRetry={() => list.refetch()} />}
      {rows.length > 0 && (
        <Rows
          label={text('members.listExcluded')}
          rows={rows}
          columns={columns}
          keyOf={({ user_id }) => user_id}
          hasMore={list.hasNextPage && !list.isFetchingNextPage}
          onEnd={list.fetchNextPage}
          foot={text(list.hasNextPage ? 'members.excludedMore' : 'members.excludedShown', { count: rows.length })}
        />
      )}
      {list.isSuccess && rows.length === 0 && (
        <Empty title={text('members.noneExcluded')}>{text('members.noneExcludedHint')}</Empty>
      )}
      {list.isPending && <div className={layout.loading}>{text('loading')}</div>}
    </>
  );
}
