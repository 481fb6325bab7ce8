import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import type { Feed } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { RoleNote } from '../../session/roles.tsx';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Empty, layout, Page } from '../../ui/layout.tsx';
import { type Column, Rows } from '../../ui/rows.tsx';
import { webhooksQuery } from '../webhooks/queries.ts';
import { WebhookState } from '../webhooks/webhook-state.tsx';
import { FeedState, Followed } from './feed-parts.tsx';
import { NewFeed } from './new-feed.tsx';
import { feedsQuery } from './queries.ts';

/** The webhooks of a feed, each with its state. */
function Webhooks({ feed }: { readonly feed: Feed }) {
  const { data } = useQuery(webhooksQuery);
  const own = data?.webhooks.filter((webhook) => webhook.feed === feed.id) ?? [];
  if (own.length === 0) return <span className={layout.soft}>–</span>;
  return (
    <span className={layout.row}>
      {own.map((webhook) => (
        <Link key={webhook.id} to="/webhooks/$id" params={{ id: String(webhook.id) }} title={webhook.url}>
          <WebhookState webhook={webhook} />
        </Link>
      ))}
    </span>
  );
}

function useColumns(): readonly Column<Feed>[] {
  const { text, date } = useSpeech();
  return [
    {
      title: text('feeds.name'),
      width: 'minmax(0, 1.6fr)',
      render: ({ id, name }) => (
        <Link to="/feeds/$id" params={{ id: String(id) }}>
          <strong>{name}</strong>
        </Link>
      ),
    },
    { title: text('feeds.follows'), width: 'minmax(0, 2.4fr)', render: (feed) => <Followed feed={feed} /> },
    { title: text('jobs.state'), width: 'minmax(0, 1fr)', render: (feed) => <FeedState feed={feed} /> },
    { title: text('hooks.title'), width: 'minmax(0, 1.4fr)', render: (feed) => <Webhooks feed={feed} /> },
    {
      title: text('accounts.since'),
      width: '130px',
      isEnd: true,
      isWideOnly: true,
      render: ({ created_at }) => <time dateTime={created_at}>{date(created_at)}</time>,
    },
  ];
}

export function FeedsPage() {
  const { text } = useSpeech();
  const mayEdit = useMay('editor');
  const [isNew, setIsNew] = useState(false);
  const { data, error, isPending, refetch } = useQuery(feedsQuery);
  const columns = useColumns();
  const feeds = data?.feeds ?? [];
  const create = mayEdit && (
    <Button look="primary" onPress={() => setIsNew(true)}>
      <Icon name="plus" /> {text('feeds.create')}
    </Button>
  );
  return (
    <Page title={text('nav.feeds')} lead={text('feeds.lead')} actions={create}>
      {error && <Failure error={error} onRetry={() => refetch()} />}
      {feeds.length > 0 && <Rows label={text('nav.feeds')} rows={feeds} columns={columns} keyOf={({ id }) => id} />}
      {data && feeds.length === 0 && <Empty title={text('feeds.none')}>{text('feeds.noneHint')}</Empty>}
      {isPending && <div className={layout.loading}>{text('loading')}</div>}
      <RoleNote needs="editor" />
      {isNew && <NewFeed onClose={() => setIsNew(false)} />}
    </Page>
  );
}
