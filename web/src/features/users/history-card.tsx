import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api } from '../../api/api.ts';
import type { User, UserEvent } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { Button } from '../../ui/button.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Card, Empty } from '../../ui/layout.tsx';
import { Table } from '../../ui/table.tsx';
import { ReportButton } from '../reports/report-button.tsx';
import { EventActor, EventBadge } from './event-parts.tsx';

const pageRows = 50;

export function HistoryCard({ user }: { readonly user: User }) {
  const { text } = useSpeech();
  const id = String(user.id);
  const history = useInfiniteQuery({
    queryKey: ['history', user.id],
    queryFn: ({ signal, pageParam }) =>
      api.userHistory({
        params: { user: id },
        query: { limit: pageRows, ...(pageParam && { cursor: pageParam }) },
        signal,
      }),
    initialPageParam: '',
    getNextPageParam: ({ next_cursor }) => next_cursor,
  });
  const events = history.data?.pages.flatMap((page) => page.events) ?? [];
  return (
    <Card title={text('person.history')} actions={<ReportButton user={id} />}>
      {history.error && <Failure error={history.error} onRetry={() => history.refetch()} />}
      {history.isSuccess && events.length === 0 && (
        <Empty title={text('person.noHistory')}>{text('person.noHistoryHint')}</Empty>
      )}
      {events.length > 0 && (
        <Table
          label={text('person.history')}
          heads={[text('charts.time'), text('person.change'), text('list.segment'), text('person.by')]}
        >
          {events.map((event) => (
            <EventRow key={`${event.at} ${event.slug} ${event.action}`} event={event} />
          ))}
        </Table>
      )}
      {history.hasNextPage && (
        <div>
          <Button onPress={() => history.fetchNextPage()}>{text('more')}</Button>
        </div>
      )}
    </Card>
  );
}

function EventRow({ event }: { readonly event: UserEvent }) {
  const { moment } = useSpeech();
  return (
    <tr>
      <td>
        <time dateTime={event.at}>{moment(event.at)}</time>
      </td>
      <td>
        <EventBadge event={event} />
      </td>
      <td>
        <Link to="/segments/$slug" params={{ slug: event.slug }}>
          {event.slug}
        </Link>
      </td>
      <td>
        <EventActor event={event} />
      </td>
    </tr>
  );
}
