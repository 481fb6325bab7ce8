import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import { useSpeech } from '../../i18n/language.ts';
import { Dialog } from '../../ui/dialog.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Checkbox, Choices, TextField } from '../../ui/field.tsx';
import { FormActions } from '../../ui/form-actions.tsx';
import { wordsIn } from '../../ui/words.ts';

type By = 'segments' | 'tags';

function useNewFeed() {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState('');
  const [by, setBy] = useState<By>('segments');
  const [named, setNamed] = useState('');
  const [hasDefinitions, setHasDefinitions] = useState(true);
  const [error, setError] = useState<unknown>();
  const create = async () => {
    setError(undefined);
    try {
      const { id } = await api.createFeed({
        body: {
          name,
          [by]: wordsIn(named),
          types: ['entered', 'left', ...(hasDefinitions ? ['segment' as const] : [])],
        },
      });
      await queries.invalidateQueries({ queryKey: ['feeds'] });
      await navigate({ to: '/feeds/$id', params: { id: String(id) } });
    } catch (failure) {
      setError(failure);
    }
  };
  const isComplete = name.trim() !== '' && wordsIn(named).length > 0;
  return { name, setName, by, setBy, named, setNamed, hasDefinitions, setHasDefinitions, error, create, isComplete };
}

export function NewFeed({ onClose }: { readonly onClose: () => void }) {
  const { text } = useSpeech();
  const making = useNewFeed();
  const isBySegments = making.by === 'segments';
  return (
    <Dialog
      title={text('feeds.create')}
      isOpen
      onClose={onClose}
      onSubmit={making.create}
      actions={<FormActions onClose={onClose} submit={text('feeds.create')} isDisabled={!making.isComplete} />}
    >
      <TextField label={text('feeds.name')} value={making.name} onChange={making.setName} maxLength={255} autoFocus />
      <Choices
        label={text('feeds.follow')}
        value={making.by}
        onChange={making.setBy}
        items={[
          { id: 'segments', text: text('feeds.bySegments') },
          { id: 'tags', text: text('feeds.byTags') },
        ]}
      />
      <TextField
        label={text(isBySegments ? 'feeds.segments' : 'feeds.tags')}
        hint={text(isBySegments ? 'feeds.segmentsHint' : 'feeds.tagsHint')}
        value={making.named}
        onChange={making.setNamed}
      />
      <Checkbox isSelected={making.hasDefinitions} onChange={making.setHasDefinitions}>
        {text('feeds.definitions')}
      </Checkbox>
      {making.error !== undefined && <Failure error={making.error} />}
    </Dialog>
  );
}
