import { useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { Feed } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { RoleNote } from '../../session/roles.tsx';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { Confirm } from '../../ui/confirm.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Icon } from '../../ui/icons.tsx';
import { layout, Page } from '../../ui/layout.tsx';
import { WebhooksCard } from '../webhooks/webhooks-card.tsx';
import { ChangesCard } from './changes-card.tsx';
import { FeedState, Followed } from './feed-parts.tsx';
import { feedQuery } from './queries.ts';

const route = getRouteApi('/feeds/$id');

function DeleteFeed({ feed }: { readonly feed: Feed }) {
  const { text } = useSpeech();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [isOpen, setIsOpen] = useState(false);
  const remove = async () => {
    await api.deleteFeed({ params: { id: String(feed.id) } });
    await navigate({ to: '/feeds' });
    queries.removeQueries({ queryKey: ['feed', String(feed.id)] });
    await queries.invalidateQueries({
      predicate: ({ queryKey: [first] }) => first === 'feeds' || first === 'webhooks',
    });
  };
  return (
    <>
      <Button onPress={() => setIsOpen(true)}>
        <Icon name="trash" /> {text('delete')}
      </Button>
      <Confirm
        title={text('feeds.deleteTitle', { name: feed.name })}
        isOpen={isOpen}
        onClose={() => setIsOpen(false)}
        button={text('delete')}
        run={remove}
        isDanger
      >
        <p>{text('feeds.deleteHint')}</p>
      </Confirm>
    </>
  );
}

export function FeedPage() {
  const { text } = useSpeech();
  const { id } = route.useParams();
  const mayEdit = useMay('editor');
  const { data: feed, error, refetch } = useQuery(feedQuery(id));
  return (
    <Page
      title={feed?.name ?? text('feeds.title', { id })}
      above={
        <Link to="/feeds" className={layout.small}>
          {text('nav.feeds')}
        </Link>
      }
      beside={feed && <FeedState feed={feed} />}
      lead={feed && <Followed feed={feed} />}
      actions={feed && mayEdit && <DeleteFeed feed={feed} />}
    >
      {error && <Failure error={error} onRetry={() => refetch()} />}
      {feed && <WebhooksCard feed={feed.id} />}
      {feed && <ChangesCard id={id} />}
      {!feed && !error && <div className={layout.loading}>{text('loading')}</div>}
      <RoleNote needs="editor" />
    </Page>
  );
}
