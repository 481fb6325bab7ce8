import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useSpeech } from '../../i18n/language.ts';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Failure } from '../../ui/failure.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Card, layout } from '../../ui/layout.tsx';
import { SecretDialog } from '../../ui/secret-dialog.tsx';
import { NewWebhook } from './new-webhook.tsx';
import { webhooksQuery } from './queries.ts';
import { lagWords, WebhookState } from './webhook-state.tsx';

/** The webhooks that the changes of a feed are posted to. */
export function WebhooksCard({ feed }: { readonly feed: number }) {
  const speech = useSpeech();
  const { text } = speech;
  const mayEdit = useMay('editor');
  const [isNew, setIsNew] = useState(false);
  const [secret, setSecret] = useState<string>();
  const { data, error, refetch } = useQuery(webhooksQuery);
  const own = data?.webhooks.filter((webhook) => webhook.feed === feed) ?? [];
  return (
    <Card
      title={text('hooks.title')}
      actions={
        mayEdit && (
          <Button isSmall onPress={() => setIsNew(true)}>
            <Icon name="plus" /> {text('hooks.create')}
          </Button>
        )
      }
    >
      {error && <Failure error={error} onRetry={() => refetch()} />}
      {data && own.length === 0 && <p className={layout.soft}>{text('hooks.none')}</p>}
      <ul className={layout.stack}>
        {own.map((webhook) => (
          <li key={webhook.id} className={classes(layout.row, layout.apart)}>
            <Link to="/webhooks/$id" params={{ id: String(webhook.id) }} className={layout.anywhere}>
              {webhook.url}
            </Link>
            <span className={layout.row}>
              <span className={classes(layout.soft, layout.small)}>{lagWords(webhook, speech)}</span>
              <WebhookState webhook={webhook} />
            </span>
          </li>
        ))}
      </ul>
      {isNew && (
        <NewWebhook
          feed={feed}
          onClose={() => setIsNew(false)}
          onCreated={(drawn) => {
            setIsNew(false);
            setSecret(drawn);
          }}
        />
      )}
      {secret !== undefined && (
        <SecretDialog
          title={text('hooks.secretTitle')}
          label={text('hooks.secret')}
          secret={secret}
          onClose={() => setSecret(undefined)}
        />
      )}
    </Card>
  );
}
