import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { Webhook } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { Button } from '../../ui/button.tsx';
import { Confirm } from '../../ui/confirm.tsx';
import { sentenceOf } from '../../ui/failure.tsx';
import { Icon } from '../../ui/icons.tsx';
import { SecretDialog } from '../../ui/secret-dialog.tsx';
import { useSay } from '../../ui/toast.tsx';

function isAboutWebhooks({ queryKey: [first] }: { readonly queryKey: readonly unknown[] }): boolean {
  return first === 'webhook' || first === 'webhooks';
}

/** The actions that need no dialog; each reports its outcome. */
function useAttempts({ id, enabled }: Webhook) {
  const speech = useSpeech();
  const { text } = speech;
  const queries = useQueryClient();
  const say = useSay();
  const params = { id: String(id) };
  const attempt = (run: () => Promise<unknown>, done: string) => async () => {
    try {
      await run();
      say(done);
    } catch (error) {
      say(sentenceOf(error, speech));
    }
    await queries.invalidateQueries({ predicate: isAboutWebhooks });
  };
  return {
    test: attempt(() => api.testWebhook({ params }), text('hooks.tested')),
    toggle: attempt(
      () => api.changeWebhook({ params, body: { enabled: !enabled } }),
      text(enabled ? 'hooks.paused' : 'hooks.enabled'),
    ),
  };
}

function Rotate({ webhook }: { readonly webhook: Webhook }) {
  const { text } = useSpeech();
  const queries = useQueryClient();
  const [isOpen, setIsOpen] = useState(false);
  const [secret, setSecret] = useState<string>();
  const rotate = async () => {
    const { secret: drawn } = await api.rotateSecret({ params: { id: String(webhook.id) }, body: {} });
    setSecret(drawn);
    await queries.invalidateQueries({ predicate: isAboutWebhooks });
  };
  return (
    <>
      <Button onPress={() => setIsOpen(true)}>
        <Icon name="keys" /> {text('hooks.rotate')}
      </Button>
      <Confirm
        title={text('hooks.rotateTitle')}
        isOpen={isOpen}
        onClose={() => setIsOpen(false)}
        button={text('hooks.rotate')}
        run={rotate}
      >
        <p>{text('hooks.rotateHint')}</p>
      </Confirm>
      {secret !== undefined && !isOpen && (
        <SecretDialog
          title={text('hooks.secretTitle')}
          label={text('hooks.secret')}
          secret={secret}
          onClose={() => setSecret(undefined)}
        />
      )}
    </>
  );
}

function Delete({ webhook }: { readonly webhook: Webhook }) {
  const { text } = useSpeech();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [isOpen, setIsOpen] = useState(false);
  const remove = async () => {
    await api.deleteWebhook({ params: { id: String(webhook.id) } });
    await navigate({ to: '/feeds/$id', params: { id: String(webhook.feed) } });
    queries.removeQueries({ queryKey: ['webhook', String(webhook.id)] });
    await queries.invalidateQueries({ queryKey: ['webhooks'] });
  };
  return (
    <>
      <Button onPress={() => setIsOpen(true)}>
        <Icon name="trash" /> {text('delete')}
      </Button>
      <Confirm
        title={text('hooks.deleteTitle')}
        isOpen={isOpen}
        onClose={() => setIsOpen(false)}
        button={text('delete')}
        run={remove}
        isDanger
      >
        <p>{text('hooks.deleteHint')}</p>
      </Confirm>
    </>
  );
}

export function WebhookActions({ webhook }: { readonly webhook: Webhook }) {
  const { text } = useSpeech();
  const { test, toggle } = useAttempts(webhook);
  return (
    <>
      <Button look="primary" onPress={test}>
        {text('hooks.test')}
      </Button>
      <Button onPress={toggle}>{text(webhook.enabled ? 'hooks.pause' : 'hooks.enable')}</Button>
      <Rotate webhook={webhook} />
      <Delete webhook={webhook} />
    </>
  );
}
