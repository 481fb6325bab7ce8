import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api } from '../../api/api.ts';
import type { FeedChange } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { Button } from '../../ui/button.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Badge, Card, Empty, layout, type Tone } from '../../ui/layout.tsx';
import { Actor } from '../users/actor.tsx';
import { PersonLink } from '../users/person-link.tsx';

const pageRows = 50;
const tones: Readonly<Record<FeedChange['type'], Tone>> = { entered: 'good', left: 'bad', segment: 'accent' };

function ChangeRow({ change }: { readonly change: FeedChange }) {
  const { find, plain, moment } = useSpeech();
  const { type, slug, user_id, external_id, cause, actor, at } = change;
  return (
    <tr>
      <td>
        <time dateTime={at}>{moment(at)}</time>
      </td>
      <td>
        <Badge tone={tones[type]}>{plain(`feeds.type.${type}`)}</Badge>
      </td>
      <td>
        <Link to="/segments/$slug" params={{ slug }}>
          {slug}
        </Link>
      </td>
      <td>{user_id !== null && <PersonLink user={{ id: user_id, external_id, name: null }} />}</td>
      <td>
        {find(`feeds.cause.${cause}`) ?? cause}{' '}
        <span className={layout.small}>
          <Actor actor={actor} />
        </span>
      </td>
    </tr>
  );
}

/** What a follower of the feed is told, from its beginning on. */
export function ChangesCard({ id }: { readonly id: string }) {
  const { text } = useSpeech();
  const list = useInfiniteQuery({
    queryKey: ['feed', id, 'changes'],
    queryFn: ({ signal, pageParam }) =>
      api.feedChanges({ params: { id }, query: { limit: pageRows, ...(pageParam && { after: pageParam }) }, signal }),
    initialPageParam: '',
    // There is always a place to go on from: what is told there may happen yet.
    getNextPageParam: ({ cursor }) => cursor,
    refetchOnWindowFocus: false,
  });
  const changes = list.data?.pages.flatMap((page) => page.changes) ?? [];
  return (
    <Card
      title={text('feeds.changes')}
      actions={
        <Button isSmall isDisabled={list.isFetching} onPress={() => list.fetchNextPage()}>
          {text('feeds.further')}
        </Button>
      }
    >
      {list.error && <Failure error={list.error} onRetry={() => list.refetch()} />}
      {list.isSuccess && changes.length === 0 && (
        <Empty title={text('history.noChanges')}>{text('feeds.noChangesHint')}</Empty>
      )}
      {changes.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to take the focus
        <section className={layout.scroll} tabIndex={0} aria-label={text('feeds.changes')}>
          <table className={layout.table}>
            <thead>
              <tr>
                <th scope="col">{text('charts.time')}</th>
                <th scope="col">{text('person.change')}</th>
                <th scope="col">{text('list.segment')}</th>
                <th scope="col">{text('members.person')}</th>
                <th scope="col">{text('feeds.why')}</th>
              </tr>
            </thead>
            <tbody>
              {changes.map((change) => (
                <ChangeRow key={change.id} change={change} />
              ))}
            </tbody>
          </table>
        </section>
      )}
    </Card>
  );
}
