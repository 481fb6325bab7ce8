import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { Segment, Version, VersionState } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Confirm } from '../../ui/confirm.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Choices } from '../../ui/field.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Badge, Card, layout } from '../../ui/layout.tsx';
import { useSay } from '../../ui/toast.tsx';
import { Actor } from '../users/actor.tsx';
import { Diff } from './diff.tsx';
import { changesOf } from './draft.ts';
import { MemberChanges } from './member-changes.tsx';
import { ChangePreview } from './preview.tsx';
import { segmentQuery } from './queries.ts';

const route = getRouteApi('/segments/$slug/history');

/** The fields that a restored version sets: all but the slug, which may belong to another segment now. */
function restoredBody(state: VersionState, now: Segment) {
  const { slug: _, ...rest } = state;
  return changesOf(rest, now);
}

function Restore({ segment, state }: { readonly segment: Segment; readonly state: VersionState }) {
  const { text } = useSpeech();
  const [isOpen, setIsOpen] = useState(false);
  const queries = useQueryClient();
  const say = useSay();
  const body = restoredBody(state, segment);
  const { description: _, tags: __, ...rule } = body;
  if (Object.keys(body).length === 0) return <Badge>{text('history.current')}</Badge>;
  const restore = async () => {
    const headers = { 'if-match': `"${segment.version}"` };
    await api.changeSegment({ params: { slug: segment.slug }, body, headers });
    say(text('history.restored'));
    await queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'me' });
  };
  return (
    <>
      <Button isSmall onPress={() => setIsOpen(true)}>
        <Icon name="undo" /> {text('history.restore')}
      </Button>
      <Confirm
        title={text('history.restoreTitle')}
        isOpen={isOpen}
        onClose={() => setIsOpen(false)}
        button={text('history.restore')}
        run={restore}
      >
        <Diff before={segment} after={{ ...state, slug: segment.slug }} />
        {isOpen && <ChangePreview slug={segment.slug} version={segment.version} changes={rule} />}
      </Confirm>
    </>
  );
}

function VersionCard({ version, segment }: { readonly version: Version; readonly segment: Segment }) {
  const speech = useSpeech();
  const mayEdit = useMay('editor');
  return (
    <Card>
      <div className={classes(layout.row, layout.apart)}>
        <div className={layout.row}>
          <strong>{speech.plain(`history.${version.action}`)}</strong>
          <span className={layout.soft}>
            <time dateTime={version.at}>{speech.moment(version.at)}</time> · <Actor actor={version.actor} />
          </span>
        </div>
        {mayEdit && version.after && <Restore segment={segment} state={version.after} />}
      </div>
      {version.after && <Diff before={version.before} after={version.after} />}
    </Card>
  );
}

/** The versions of the rule, each with what it changed. */
function Versions({ segment }: { readonly segment: Segment }) {
  const { text } = useSpeech();
  const { slug } = segment;
  const versions = useInfiniteQuery({
    queryKey: ['versions', slug],
    queryFn: ({ signal, pageParam }) =>
      api.segmentHistory({ params: { slug }, query: { limit: 50, ...(pageParam && { cursor: pageParam }) }, signal }),
    initialPageParam: '',
    getNextPageParam: ({ next_cursor }) => next_cursor,
  });
  const events = versions.data?.pages.flatMap((page) => page.events) ?? [];
  return (
    <>
      {versions.error && <Failure error={versions.error} onRetry={() => versions.refetch()} />}
      <ol className={layout.stack}>
        {events.map((version) => (
          <li key={`${version.at} ${version.action}`}>
            <VersionCard version={version} segment={segment} />
          </li>
        ))}
      </ol>
      {versions.hasNextPage && (
        <div>
          <Button isDisabled={versions.isFetchingNextPage} onPress={() => versions.fetchNextPage()}>
            {text('more')}
          </Button>
        </div>
      )}
    </>
  );
}

export function HistoryTab() {
  const { text } = useSpeech();
  const { slug } = route.useParams();
  const { show = 'rule' } = route.useSearch();
  const navigate = useNavigate({ from: '/segments/$slug/history' });
  const { data: segment } = useQuery(segmentQuery(slug));
  if (!segment) return null;
  return (
    <>
      <Choices
        label={text('history.of')}
        isLabelHidden
        value={show}
        onChange={(next) => navigate({ search: { show: next === 'rule' ? undefined : next } })}
        items={[
          { id: 'rule', text: text('history.ofRule') },
          { id: 'members', text: text('history.ofMembers') },
        ]}
      />
      {show === 'rule' ? <Versions segment={segment} /> : <MemberChanges slug={slug} />}
    </>
  );
}
