import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import { useSpeech } from '../../i18n/language.ts';
import { Dialog } from '../../ui/dialog.tsx';
import { Failure } from '../../ui/failure.tsx';
import { TextField } from '../../ui/field.tsx';
import { FormActions } from '../../ui/form-actions.tsx';

export function NewWebhook(props: {
  readonly feed: number;
  readonly onClose: () => void;
  readonly onCreated: (secret: string) => void;
}) {
  const { text } = useSpeech();
  const queries = useQueryClient();
  const [url, setUrl] = useState('');
  const [error, setError] = useState<unknown>();
  const create = async () => {
    setError(undefined);
    try {
      const { secret } = await api.createWebhook({ body: { url: url.trim(), feed: props.feed } });
      await queries.invalidateQueries({ queryKey: ['webhooks'] });
      props.onCreated(secret);
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <Dialog
      title={text('hooks.create')}
      isOpen
      onClose={props.onClose}
      onSubmit={create}
      actions={<FormActions onClose={props.onClose} submit={text('hooks.create')} isDisabled={url.trim() === ''} />}
    >
      <TextField
        label={text('hooks.url')}
        hint={text('hooks.urlHint')}
        type="url"
        placeholder="https://receiver.example/kohort"
        value={url}
        onChange={setUrl}
        autoFocus
      />
      {error !== undefined && <Failure error={error} />}
    </Dialog>
  );
}
