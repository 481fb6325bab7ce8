import { useQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import type { Webhook } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { RoleNote } from '../../session/roles.tsx';
import { useMay } from '../../session/session.tsx';
import { Failure } from '../../ui/failure.tsx';
import { layout, Notice, Page } from '../../ui/layout.tsx';
import { feedQuery } from '../feeds/queries.ts';
import { Deliveries } from './deliveries.tsx';
import { webhookQuery } from './queries.ts';
import { WebhookActions } from './webhook-actions.tsx';
import { lagWords, WebhookState } from './webhook-state.tsx';

const route = getRouteApi('/webhooks/$id');

function FeedName({ id }: { readonly id: string }) {
  const { text } = useSpeech();
  const { data } = useQuery(feedQuery(id));
  return (
    <Link to="/feeds/$id" params={{ id }} className={layout.small}>
      {text('hooks.ofFeed', { name: data?.name ?? `#${id}` })}
    </Link>
  );
}

/** Notes on a webhook: why nothing is sent, and until when two secrets are valid. */
function Notes({ webhook }: { readonly webhook: Webhook }) {
  const { text, plain, moment } = useSpeech();
  const { enabled, disabled_reason: reason, previous_secret_until: until } = webhook;
  return (
    <>
      {!enabled && reason !== null && (
        <Notice tone={reason === 'paused' ? 'plain' : 'bad'}>{plain(`hooks.why.${reason}`)}</Notice>
      )}
      {until !== null && <Notice>{text('hooks.twoSecrets', { time: moment(until) })}</Notice>}
    </>
  );
}

export function WebhookPage() {
  const speech = useSpeech();
  const { text } = speech;
  const { id } = route.useParams();
  const mayEdit = useMay('editor');
  const { data: webhook, error, refetch } = useQuery(webhookQuery(id));
  return (
    <Page
      title={webhook?.url ?? text('hooks.one', { id })}
      above={webhook && <FeedName id={String(webhook.feed)} />}
      beside={webhook && <WebhookState webhook={webhook} />}
      lead={webhook && lagWords(webhook, speech)}
      actions={webhook && mayEdit && <WebhookActions webhook={webhook} />}
    >
      {error && <Failure error={error} onRetry={() => refetch()} />}
      {webhook && <Notes webhook={webhook} />}
      {webhook && <Deliveries id={id} />}
      {!webhook && !error && <div className={layout.loading}>{text('loading')}</div>}
      <RoleNote needs="editor" />
    </Page>
  );
}
