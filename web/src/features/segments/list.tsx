import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { lazy, Suspense, useMemo } from 'react';
import type { Listed } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import type { readSegments } from '../../search.ts';
import { RoleNote } from '../../session/roles.tsx';
import { useMay } from '../../session/session.tsx';
import { buttonClass } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Failure } from '../../ui/failure.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Badge, Empty, layout, Page } from '../../ui/layout.tsx';
import { type Column, Rows } from '../../ui/rows.tsx';
import { kindOf, ruleWords } from '../conditions/words.ts';
import { KindBadge } from './kind-badge.tsx';
import { countQuery, segmentList, usageQuery } from './queries.ts';

const route = getRouteApi('/segments');
type Search = ReturnType<typeof readSegments>;

const Filters = lazy(() => import('./filters.tsx'));

function Size({ slug }: { readonly slug: string }) {
  const { number, text } = useSpeech();
  const { data, error } = useQuery(countQuery(slug));
  if (data) return <>{number(data.count)}</>;
  return <span className={layout.soft}>{error ? <abbr title={text('list.noSize')}>?</abbr> : '…'}</span>;
}

function Usage({ slug }: { readonly slug: string }) {
  const { text } = useSpeech();
  const { data } = useQuery(usageQuery(slug));
  const count = data?.used_by?.length ?? 0;
  if (!data) return <span className={layout.soft}>…</span>;
  if (count === 0) return <span className={layout.soft}>–</span>;
  return <>{text('list.usedBy', { count })}</>;
}

function Title({ segment }: { readonly segment: Listed }) {
  const speech = useSpeech();
  const isList = kindOf(segment) === 'list';
  return (
    <div className={classes(layout.stack, layout.tight)}>
      <Link to="/segments/$slug" params={{ slug: segment.slug }}>
        <strong>{segment.slug}</strong>
      </Link>
      <span className={classes(layout.soft, layout.small)}>
        {segment.description ?? (isList ? speech.text('words.list') : ruleWords(segment, speech))}
      </span>
    </div>
  );
}

function Tags({ tags, search }: { readonly tags: readonly string[]; readonly search: Search }) {
  return (
    <div className={layout.row}>
      {tags.map((tag) => (
        <Link key={tag} to="/segments" search={{ ...search, tag }}>
          <Badge>{tag}</Badge>
        </Link>
      ))}
    </div>
  );
}

function useColumns(search: Search): readonly Column<Listed>[] {
  const { text } = useSpeech();
  return [
    { title: text('list.segment'), width: 'minmax(0, 3.2fr)', render: (segment) => <Title segment={segment} /> },
    { title: text('list.kind'), width: 'minmax(0, 1.2fr)', render: (segment) => <KindBadge segment={segment} /> },
    { title: text('list.tags'), width: 'minmax(0, 1.6fr)', render: ({ tags }) => <Tags tags={tags} search={search} /> },
    { title: text('list.usage'), width: '110px', render: ({ slug }) => <Usage slug={slug} />, isWideOnly: true },
    { title: text('list.size'), width: '96px', render: ({ slug }) => <Size slug={slug} />, isEnd: true },
  ];
}

export function SegmentsPage() {
  const { text } = useSpeech();
  const mayEdit = useMay('editor');
  const search = route.useSearch();
  const { query = '', tag = '', kind } = search;
  const list = useInfiniteQuery(segmentList({ query, tag }));
  const all = useMemo(() => list.data?.pages.flatMap(({ segments }) => segments) ?? [], [list.data]);
  const rows = useMemo(() => all.filter((segment) => kind === undefined || kindOf(segment) === kind), [all, kind]);
  const tags = useMemo(() => [...new Set(all.flatMap((segment) => segment.tags))].sort(), [all]);
  const columns = useColumns(search);
  const isFiltered = query !== '' || tag !== '' || kind !== undefined;
  const create = mayEdit && (
    <Link to="/segments/new" className={buttonClass('primary')}>
      <Icon name="plus" /> {text('list.create')}
    </Link>
  );
  return (
    <Page title={text('nav.segments')} lead={text('list.lead')} actions={create}>
      <Suspense fallback={<div className={layout.fieldPlace} />}>
        <Filters tags={tags} />
      </Suspense>
      {list.error && <Failure error={list.error} onRetry={() => list.refetch()} />}
      {rows.length > 0 && (
        <Rows
          label={text('nav.segments')}
          rows={rows}
          columns={columns}
          keyOf={({ id }) => id}
          hasMore={list.hasNextPage && !list.isFetchingNextPage}
          onEnd={list.fetchNextPage}
          foot={text(list.hasNextPage ? 'list.shownMore' : 'list.shown', { count: rows.length })}
        />
      )}
      {list.isSuccess && rows.length === 0 && !list.hasNextPage && (
        <Empty title={text(isFiltered ? 'list.noneFound' : 'list.none')} action={!isFiltered && create}>
          {text(isFiltered ? 'list.noneFoundHint' : 'list.noneHint')}
        </Empty>
      )}
      {list.isPending && <div className={layout.loading}>{text('loading')}</div>}
      <RoleNote needs="editor" />
    </Page>
  );
}
