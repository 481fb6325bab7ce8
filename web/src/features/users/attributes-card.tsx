import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { User } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { Failure } from '../../ui/failure.tsx';
import { TextField } from '../../ui/field.tsx';
import { Card, layout } from '../../ui/layout.tsx';
import { useSay } from '../../ui/toast.tsx';
import { isObject, type JsonObject } from '../conditions/tree.ts';
import { mergePatch } from './merge-patch.ts';

function parsed(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function Edit({ user, onClose }: { readonly user: User; readonly onClose: () => void }) {
  const { text } = useSpeech();
  const queries = useQueryClient();
  const say = useSay();
  const [name, setName] = useState(user.name ?? '');
  const [json, setJson] = useState(() => JSON.stringify(user.attributes, null, 2));
  const [error, setError] = useState<unknown>();
  const attributes = parsed(json);
  const save = async () => {
    if (!attributes) return;
    setError(undefined);
    try {
      const before = isObject(user.attributes) ? user.attributes : {};
      const body = { name: name.trim() || null, attributes: mergePatch(before, attributes) };
      await api.changeUser({ params: { user: String(user.id) }, body });
      await queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'me' });
      say(text('person.saved'));
      onClose();
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <Card title={text('person.edit')}>
      <TextField label={text('person.name')} value={name} onChange={setName} maxLength={255} />
      <TextField
        label={text('person.attributesJson')}
        value={json}
        onChange={setJson}
        rows={Math.min(24, Math.max(6, json.split('\n').length))}
        isMono
        error={attributes ? undefined : text('editor.jsonWrong')}
      />
      {error !== undefined && <Failure error={error} />}
      <div className={layout.row}>
        <Button look="primary" isDisabled={!attributes} onPress={save}>
          {text('save')}
        </Button>
        <Button look="quiet" onPress={onClose}>
          {text('cancel')}
        </Button>
      </div>
    </Card>
  );
}

export function AttributesCard({ user }: { readonly user: User }) {
  const { text, moment } = useSpeech();
  const mayEdit = useMay('editor');
  const [isEdited, setIsEdited] = useState(false);
  if (isEdited) return <Edit user={user} onClose={() => setIsEdited(false)} />;
  return (
    <Card
      title={text('person.attributes')}
      actions={
        mayEdit && (
          <Button isSmall onPress={() => setIsEdited(true)}>
            {text('edit')}
          </Button>
        )
      }
    >
      <dl className={layout.facts}>
        <dt>{text('person.id')}</dt>
        <dd>{user.id}</dd>
        <dt>{text('person.externalId')}</dt>
        <dd>{user.external_id ?? '–'}</dd>
        <dt>{text('person.since')}</dt>
        <dd>{moment(user.created_at)}</dd>
        {Object.entries(user.attributes).map(([name, value]) => (
          <div key={name} className={layout.contents}>
            <dt>
              <code>{name}</code>
            </dt>
            <dd>{typeof value === 'string' ? value : <code>{JSON.stringify(value)}</code>}</dd>
          </div>
        ))}
      </dl>
      {Object.keys(user.attributes).length === 0 && <p className={layout.soft}>{text('person.noAttributes')}</p>}
    </Card>
  );
}
