import { useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi, Link, Outlet, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { Segment } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { useMay } from '../../session/session.tsx';
import { Button, buttonClass } from '../../ui/button.tsx';
import { Confirm } from '../../ui/confirm.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Badge, layout, Page } from '../../ui/layout.tsx';
import { useSay } from '../../ui/toast.tsx';
import { ruleWords } from '../conditions/words.ts';
import { KindBadge } from './kind-badge.tsx';
import { countQuery, segmentQuery } from './queries.ts';

const route = getRouteApi('/segments/$slug');

function UsedBy({ slugs }: { readonly slugs: readonly string[] }) {
  return (
    <ul>
      {slugs.map((slug) => (
        <li key={slug}>
          <Link to="/segments/$slug" params={{ slug }}>
            {slug}
          </Link>
        </li>
      ))}
    </ul>
  );
}

function DeleteSegment({ segment }: { readonly segment: Segment }) {
  const { text } = useSpeech();
  const [isOpen, setIsOpen] = useState(false);
  const navigate = useNavigate();
  const queries = useQueryClient();
  const say = useSay();
  const { data } = useQuery(countQuery(segment.slug));
  const usedBy = segment.used_by ?? [];
  const remove = async () => {
    await api.deleteSegment({ params: { slug: segment.slug } });
    say(text('segment.deleted', { slug: segment.slug }));
    await navigate({ to: '/segments', ignoreBlocker: true });
    queries.removeQueries({ queryKey: ['segment', segment.slug] });
    await queries.invalidateQueries({
      predicate: ({ queryKey: [first] }) => first === 'segments' || first === 'layers',
    });
  };
  return (
    <>
      <Button onPress={() => setIsOpen(true)}>
        <Icon name="trash" /> {text('delete')}
      </Button>
      <Confirm
        title={text('segment.deleteTitle', { slug: segment.slug })}
        isOpen={isOpen}
        onClose={() => setIsOpen(false)}
        button={text('delete')}
        run={remove}
        isDanger
      >
        {usedBy.length > 0 ? (
          <>
            <p>{text('segment.deleteUsed', { count: usedBy.length })}</p>
            <UsedBy slugs={usedBy} />
          </>
        ) : (
          <p>{text('segment.deleteHint', { count: data?.count ?? 0 })}</p>
        )}
      </Confirm>
    </>
  );
}

export function SegmentTabs({ slug }: { readonly slug: string }) {
  const { text } = useSpeech();
  const tab = { className: layout.tab, params: { slug } };
  return (
    <nav className={layout.tabs} aria-label={text('segment.tabs')}>
      <Link to="/segments/$slug" activeOptions={{ exact: true, includeSearch: false }} {...tab}>
        {text('tab.rule')}
      </Link>
      <Link to="/segments/$slug/members" activeOptions={{ includeSearch: false }} {...tab}>
        {text('tab.members')}
      </Link>
      <Link to="/segments/$slug/history" activeOptions={{ includeSearch: false }} {...tab}>
        {text('tab.history')}
      </Link>
      <Link to="/segments/$slug/charts" activeOptions={{ includeSearch: false }} {...tab}>
        {text('tab.charts')}
      </Link>
    </nav>
  );
}

export function SegmentLayout() {
  const speech = useSpeech();
  const { text, number } = speech;
  const { slug } = route.useParams();
  const mayEdit = useMay('editor');
  const { data: segment, error, refetch } = useQuery(segmentQuery(slug));
  const count = useQuery(countQuery(slug)).data;
  if (!segment) {
    return (
      <Page title={slug}>
        {error ? (
          <Failure error={error} onRetry={() => refetch()} />
        ) : (
          <div className={layout.loading}>{text('loading')}</div>
        )}
      </Page>
    );
  }
  return (
    <Page
      title={segment.slug}
      above={
        <Link to="/segments" className={layout.small}>
          {text('nav.segments')}
        </Link>
      }
      beside={
        <>
          <KindBadge segment={segment} />
          {count && <Badge>{text('segment.members', { count: count.count })}</Badge>}
          {segment.tags.map((tag) => (
            <Badge key={tag}>{tag}</Badge>
          ))}
        </>
      }
      lead={
        <>
          {segment.description && <p>{segment.description}</p>}
          <p>
            <span className={layout.hidden}>{text('segment.words')}: </span>
            {ruleWords(segment, speech)}
          </p>
        </>
      }
      actions={
        <>
          <Link to="/overlap" search={{ segments: segment.slug }} className={buttonClass('quiet')}>
            <Icon name="compare" /> {text('segment.compare')}
          </Link>
          {mayEdit && (
            <>
              <Link to="/segments/new" search={{ from: segment.slug }} className={buttonClass('secondary')}>
                <Icon name="copy" /> {text('segment.duplicate')}
              </Link>
              <DeleteSegment segment={segment} />
            </>
          )}
        </>
      }
    >
      <SegmentTabs slug={slug} />
      {error && <Failure error={error} onRetry={() => refetch()} />}
      <Outlet />
      <p className={`${layout.soft} ${layout.small}`}>
        {text('segment.foot', { version: number(segment.version), time: speech.moment(segment.updated_at) })}
      </p>
    </Page>
  );
}
