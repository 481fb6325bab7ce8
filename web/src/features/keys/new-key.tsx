import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { NewKey } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { Dialog } from '../../ui/dialog.tsx';
import { Failure } from '../../ui/failure.tsx';
import { TextField } from '../../ui/field.tsx';
import { FormActions } from '../../ui/form-actions.tsx';
import { Select } from '../../ui/select.tsx';
import { wordsIn } from '../../ui/words.ts';
import { instantOf } from '../segments/draft.ts';
import { keyRoles } from './roles.ts';

function useMaking(onCreated: (secret: string) => void) {
  const queries = useQueryClient();
  const [name, setName] = useState('');
  const [role, setRole] = useState<NewKey['role']>('viewer');
  const [until, setUntil] = useState('');
  const [tags, setTags] = useState('');
  const [origins, setOrigins] = useState('');
  const [error, setError] = useState<unknown>();
  const create = async () => {
    setError(undefined);
    const expires_at = instantOf(until);
    const body: NewKey = {
      name,
      role,
      ...(expires_at && { expires_at }),
      ...(wordsIn(tags).length > 0 && { tags: wordsIn(tags) }),
      ...(role === 'browser' && { origins: wordsIn(origins) }),
    };
    try {
      const { key } = await api.createKey({ body });
      await queries.invalidateQueries({ queryKey: ['keys'] });
      onCreated(key);
    } catch (failure) {
      setError(failure);
    }
  };
  const fields = { name, setName, role, setRole, until, setUntil, tags, setTags, origins, setOrigins };
  return { ...fields, error, create };
}

export function NewKeyDialog({
  onClose,
  onCreated,
}: {
  readonly onClose: () => void;
  readonly onCreated: (secret: string) => void;
}) {
  const { text, plain } = useSpeech();
  const making = useMaking(onCreated);
  const { name, role, until, tags, origins, error } = making;
  return (
    <Dialog
      title={text('keys.create')}
      isOpen
      onClose={onClose}
      onSubmit={making.create}
      actions={<FormActions onClose={onClose} submit={text('keys.create')} isDisabled={name === ''} />}
    >
      <TextField
        label={text('keys.name')}
        hint={text('keys.nameHint')}
        value={name}
        onChange={making.setName}
        autoFocus
      />
      <Select
        label={text('accounts.roleTitle')}
        value={role}
        onChange={making.setRole}
        items={keyRoles.map((id) => ({ id, text: plain(`keys.role.${id}`) }))}
      />
      {role === 'browser' && (
        <TextField
          label={text('keys.origins')}
          hint={text('keys.originsHint')}
          value={origins}
          onChange={making.setOrigins}
          placeholder="https://shop.example"
        />
      )}
      <TextField label={text('keys.tags')} hint={text('keys.tagsHint')} value={tags} onChange={making.setTags} />
      <TextField
        label={text('keys.expires')}
        hint={text('members.untilHint')}
        type="datetime-local"
        value={until}
        onChange={making.setUntil}
      />
      {error !== undefined && <Failure error={error} />}
    </Dialog>
  );
}
