import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api } from '../../api/api.ts';
import type { FeedChange } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { Button } from '../../ui/button.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Badge, Card, Empty, layout, type Tone } from '../../ui/layout.tsx';
import { Table } from '../../ui/table.tsx';
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

/** The changes that a follower of the feed receives, from its beginning. */
export function ChangesCard({ id }: { readonly id: string }) {
  const { text } = useSpeech();
  const list = useInfiniteQuery({
    queryKey: ['feed', id, 'changes'],
    queryFn: ({ signal, pageParam }) =>
      api.feedChanges({ params: { id }, query: { limit: pageRows, ...(pageParam && { after: pageParam }) }, signal }),
    initialPageParam: '',
    // There is always a cursor to continue from: more changes may come.
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
        <Table
          label={text('feeds.changes')}
          heads={[
            text('charts.time'),
            text('person.change'),
            text('list.segment'),
            text('members.person'),
            text('feeds.why'),
          ]}
        >
          {changes.map((change) => (
            <ChangeRow key={change.id} change={change} />
          ))}
        </Table>
      )}
    </Card>
  );
}
