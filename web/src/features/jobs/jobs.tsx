import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { api } from '../../api/api.ts';
import type { JobEntry } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { jobKinds, jobStates, type readJobs } from '../../search.ts';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Failure } from '../../ui/failure.tsx';
import { Badge, Empty, layout, Page } from '../../ui/layout.tsx';
import { type Column, Rows } from '../../ui/rows.tsx';
import { Select } from '../../ui/select.tsx';
import { Actor } from '../users/actor.tsx';
import { useCancel } from './job-actions.tsx';
import { AboutSegment, type AnyJob, kindWords, outcomeWords, ProgressBar, StateBadge } from './job-parts.tsx';
import { hasEnded, useJob } from './live.ts';

const route = getRouteApi('/jobs');
const pageRows = 100;
/** Jobs that others start appear within this time. */
const pollEveryMs = 5000;
/** The most running jobs that are streamed: a browser has six connections to a host in all. */
const mostFollowed = 2;

function Progress({ job }: { readonly job: AnyJob }) {
  const { text, number } = useSpeech();
  return (
    <div className={classes(layout.stack, layout.tight)}>
      <span className={layout.row}>
        <StateBadge state={job.state} />
        {!hasEnded(job) && job.rows > 0 && (
          <span className={classes(layout.soft, layout.small)}>
            {text('job.progress', { done: number(job.processed), count: job.rows })}
          </span>
        )}
      </span>
      <ProgressBar job={job} label={text('jobs.progressOf', { id: job.id })} />
    </div>
  );
}

/** The live state of a job. */
function LiveProgress({ entry }: { readonly entry: JobEntry }) {
  return <Progress job={useJob(entry.id).data ?? entry} />;
}

function What({ job }: { readonly job: JobEntry }) {
  const speech = useSpeech();
  return (
    <div className={classes(layout.stack, layout.tight)}>
      <span className={layout.row}>
        <Link to="/jobs/$id" params={{ id: job.id }}>
          <strong>{kindWords(job, speech)}</strong>
        </Link>
        {job.dry_run && <Badge>{speech.text('job.trial')}</Badge>}
      </span>
      <span className={classes(layout.soft, layout.small)}>
        #{job.id} {job.segment !== null && <AboutSegment slug={job.segment} />}
      </span>
    </div>
  );
}

function Outcome({ job }: { readonly job: JobEntry }) {
  const speech = useSpeech();
  if (job.error !== null)
    return (
      <span className={layout.small} lang="en">
        {job.error}
      </span>
    );
  return <span className={layout.small}>{job.state === 'done' && outcomeWords(job, speech)}</span>;
}

function useColumns(rows: readonly JobEntry[], onError: (error: unknown) => void): readonly Column<JobEntry>[] {
  const { text, moment, ago } = useSpeech();
  const mayEdit = useMay('editor');
  const cancel = useCancel(onError);
  const followed = new Set(
    rows
      .filter((job) => !hasEnded(job))
      .slice(0, mostFollowed)
      .map(({ id }) => id),
  );
  return [
    { title: text('jobs.job'), width: 'minmax(0, 2.2fr)', render: (job) => <What job={job} /> },
    {
      title: text('jobs.state'),
      width: 'minmax(0, 1.4fr)',
      render: (job) => (followed.has(job.id) ? <LiveProgress entry={job} /> : <Progress job={job} />),
    },
    { title: text('jobs.outcome'), width: 'minmax(0, 2fr)', render: (job) => <Outcome job={job} /> },
    {
      title: text('jobs.begun'),
      width: 'minmax(0, 1.2fr)',
      render: (job) => (
        <span className={layout.small}>
          <Actor actor={job.actor} />{' '}
          <time className={layout.soft} dateTime={job.created_at} title={moment(job.created_at)}>
            {ago(job.created_at)}
          </time>
        </span>
      ),
    },
    ...(mayEdit
      ? [
          {
            title: text('actions'),
            width: '92px',
            isEnd: true,
            render: (job: JobEntry) =>
              !hasEnded(job) && (
                <Button isSmall aria-label={text('jobs.cancel', { id: job.id })} onPress={() => cancel(job)}>
                  {text('cancel')}
                </Button>
              ),
          },
        ]
      : []),
  ];
}

function Filters() {
  const { text, plain } = useSpeech();
  const { state, kind } = route.useSearch();
  const navigate = useNavigate({ from: '/jobs' });
  return (
    <search className={layout.row}>
      <Select
        label={text('jobs.state')}
        isLabelHidden
        value={state ?? 'any'}
        onChange={(id) =>
          navigate({ search: (old) => ({ ...old, state: id === 'any' ? undefined : id }), replace: true })
        }
        items={[
          { id: 'any', text: text('jobs.anyState') },
          ...jobStates.map((id) => ({ id, text: plain(`job.state.${id}`) })),
        ]}
      />
      <Select
        label={text('jobs.kind')}
        isLabelHidden
        value={kind ?? 'any'}
        onChange={(id) =>
          navigate({ search: (old) => ({ ...old, kind: id === 'any' ? undefined : id }), replace: true })
        }
        items={[
          { id: 'any', text: text('jobs.anyKind') },
          ...jobKinds.map((id) => ({ id, text: plain(`job.kind.${id}`) })),
        ]}
      />
    </search>
  );
}

function useJobs(filter: ReturnType<typeof readJobs>) {
  return useInfiniteQuery({
    queryKey: ['jobs', filter],
    queryFn: ({ signal, pageParam }) =>
      api.listJobs({ query: { ...filter, limit: pageRows, ...(pageParam && { cursor: pageParam }) }, signal }),
    initialPageParam: '',
    getNextPageParam: ({ next_cursor }) => next_cursor,
    placeholderData: keepPreviousData,
    refetchInterval: pollEveryMs,
  });
}

export function JobsPage() {
  const { text } = useSpeech();
  const search = route.useSearch();
  const list = useJobs(search);
  const [error, setError] = useState<unknown>();
  const rows = useMemo(() => list.data?.pages.flatMap(({ jobs }) => jobs) ?? [], [list.data]);
  const columns = useColumns(rows, setError);
  const isFiltered = search.state !== undefined || search.kind !== undefined;
  return (
    <Page title={text('nav.jobs')} lead={text('jobs.lead')}>
      <Filters />
      {error !== undefined && <Failure error={error} />}
      {list.error && <Failure error={list.error} onRetry={() => list.refetch()} />}
      {rows.length > 0 && (
        <Rows
          label={text('nav.jobs')}
          rows={rows}
          columns={columns}
          keyOf={({ id }) => id}
          hasMore={list.hasNextPage && !list.isFetchingNextPage}
          onEnd={list.fetchNextPage}
          foot={text(list.hasNextPage ? 'jobs.shownMore' : 'jobs.shown', { count: rows.length })}
        />
      )}
      {list.isSuccess && rows.length === 0 && (
        <Empty title={text(isFiltered ? 'jobs.noneFound' : 'jobs.none')}>
          {text(isFiltered ? 'jobs.noneFoundHint' : 'jobs.noneHint')}
        </Empty>
      )}
      {list.isPending && <div className={layout.loading}>{text('loading')}</div>}
    </Page>
  );
}
