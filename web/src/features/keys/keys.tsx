import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { Key, NewKey } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { RoleNote } from '../../session/roles.tsx';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { Confirm } from '../../ui/confirm.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Failure } from '../../ui/failure.tsx';
import { TextField } from '../../ui/field.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Badge, Card, Empty, layout, Notice, Page } from '../../ui/layout.tsx';
import { Select } from '../../ui/select.tsx';
import { useSay } from '../../ui/toast.tsx';
import { instantOf } from '../segments/draft.ts';

const keyRoles = ['viewer', 'editor', 'browser'] as const;
const pageRows = 1000;
const words = (text: string) => text.split(/[\s,]+/).filter(Boolean);

function Shown({ secret, onClose }: { readonly secret: string; readonly onClose: () => void }) {
  const { text } = useSpeech();
  const say = useSay();
  const copy = () =>
    navigator.clipboard.writeText(secret).then(
      () => say(text('keys.copied')),
      () => say(text('keys.copyByHand')),
    );
  return (
    <Dialog
      title={text('keys.shownTitle')}
      isOpen
      onClose={onClose}
      isAlert
      actions={
        <Button look="primary" onPress={onClose}>
          {text('keys.kept')}
        </Button>
      }
    >
      <Notice tone="warn">{text('keys.shownOnce')}</Notice>
      <TextField label={text('keys.key')} value={secret} onChange={() => {}} isMono />
      <div>
        <Button onPress={copy}>
          <Icon name="copy" /> {text('keys.copy')}
        </Button>
      </div>
    </Dialog>
  );
}

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
      ...(words(tags).length > 0 && { tags: words(tags) }),
      ...(role === 'browser' && { origins: words(origins) }),
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

function Create({
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
      actions={
        <>
          <Button look="quiet" onPress={onClose}>
            {text('cancel')}
          </Button>
          <Button look="primary" type="submit" isDisabled={name === ''}>
            {text('keys.create')}
          </Button>
        </>
      }
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

function Row({ entry }: { readonly entry: Key }) {
  const { text, plain, date, moment } = useSpeech();
  const queries = useQueryClient();
  const [isOpen, setIsOpen] = useState(false);
  const role = keyRoles.find((one) => one === entry.role);
  const revoke = async () => {
    await api.revokeKey({ params: { id: String(entry.id) } });
    await queries.invalidateQueries({ queryKey: ['keys'] });
  };
  return (
    <tr>
      <td>
        <strong>{entry.name}</strong>
        <div className={layout.row}>
          {entry.tags?.map((tag) => (
            <Badge key={tag}>{tag}</Badge>
          ))}
        </div>
      </td>
      <td>{role ? plain(`keys.role.${role}`) : entry.role}</td>
      <td>{date(entry.created_at)}</td>
      <td>{entry.expires_at ? moment(entry.expires_at) : text('keys.never')}</td>
      <td className={layout.number}>
        <Button isSmall onPress={() => setIsOpen(true)} aria-label={text('keys.revokeOne', { name: entry.name })}>
          {text('keys.revoke')}
        </Button>
        <Confirm
          title={text('keys.revokeTitle', { name: entry.name })}
          isOpen={isOpen}
          onClose={() => setIsOpen(false)}
          button={text('keys.revoke')}
          run={revoke}
          isDanger
        >
          <p>{text('keys.revokeHint')}</p>
        </Confirm>
      </td>
    </tr>
  );
}

function Keys() {
  const { text } = useSpeech();
  const { data, error, refetch } = useQuery({
    queryKey: ['keys'],
    queryFn: ({ signal }) => api.listKeys({ query: { limit: pageRows }, signal }),
  });
  if (error) return <Failure error={error} onRetry={() => refetch()} />;
  if (data?.keys.length === 0) return <Empty title={text('keys.none')}>{text('keys.noneHint')}</Empty>;
  return (
    <Card>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to take the focus */}
      <section className={layout.scroll} tabIndex={0} aria-label={text('nav.keys')}>
        <table className={layout.table}>
          <thead>
            <tr>
              <th scope="col">{text('keys.name')}</th>
              <th scope="col">{text('accounts.roleTitle')}</th>
              <th scope="col">{text('accounts.since')}</th>
              <th scope="col">{text('keys.expires')}</th>
              <th scope="col" className={layout.number}>
                {text('actions')}
              </th>
            </tr>
          </thead>
          <tbody>
            {data?.keys.map((entry) => (
              <Row key={entry.id} entry={entry} />
            ))}
          </tbody>
        </table>
      </section>
    </Card>
  );
}

export function KeysPage() {
  const { text } = useSpeech();
  const isAdmin = useMay('admin');
  const [isNew, setIsNew] = useState(false);
  const [secret, setSecret] = useState<string>();
  return (
    <Page
      title={text('nav.keys')}
      lead={text('keys.lead')}
      actions={
        isAdmin && (
          <Button look="primary" onPress={() => setIsNew(true)}>
            <Icon name="plus" /> {text('keys.create')}
          </Button>
        )
      }
    >
      {isAdmin ? <Keys /> : <RoleNote needs="admin" />}
      {isNew && (
        <Create
          onClose={() => setIsNew(false)}
          onCreated={(key) => {
            setIsNew(false);
            setSecret(key);
          }}
        />
      )}
      {secret !== undefined && <Shown secret={secret} onClose={() => setSecret(undefined)} />}
    </Page>
  );
}
