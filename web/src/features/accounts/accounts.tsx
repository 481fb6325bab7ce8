import type { Role } from '@kohort/contract';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { Account } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { RoleNote } from '../../session/roles.tsx';
import { useMay, useMe } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Failure, sentenceOf } from '../../ui/failure.tsx';
import { TextField } from '../../ui/field.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Badge, Card, layout, Page } from '../../ui/layout.tsx';
import { Select } from '../../ui/select.tsx';
import { useSay } from '../../ui/toast.tsx';

const roles = ['member', 'viewer', 'editor', 'admin'] as const satisfies readonly Role[];
const pageRows = 1000;

function Row({ account }: { readonly account: Account }) {
  const speech = useSpeech();
  const { text, plain, date } = speech;
  const me = useMe();
  const queries = useQueryClient();
  const say = useSay();
  const change = async (body: { role?: Role; disabled?: boolean }) => {
    try {
      await api.changeAccount({ params: { id: String(account.id) }, body });
      say(text('accounts.changed', { name: account.username }));
    } catch (error) {
      say(sentenceOf(error, speech));
    }
    await queries.invalidateQueries({ queryKey: ['accounts'] });
  };
  return (
    <tr>
      <td>
        <strong>{account.username}</strong>{' '}
        {account.id === me.id && <Badge tone="accent">{text('accounts.you')}</Badge>}{' '}
        {account.disabled && <Badge tone="bad">{text('accounts.disabled')}</Badge>}
        <div className={layout.soft}>{account.name}</div>
      </td>
      <td>
        <Select
          label={text('accounts.role', { name: account.username })}
          isLabelHidden
          value={account.role}
          onChange={(role) => change({ role })}
          items={roles.map((id) => ({ id, text: plain(`role.${id}`) }))}
        />
      </td>
      <td>{date(account.created_at)}</td>
      <td className={layout.number}>
        <Button isSmall onPress={() => change({ disabled: !account.disabled })}>
          {text(account.disabled ? 'accounts.enable' : 'accounts.disable')}
        </Button>
      </td>
    </tr>
  );
}

function NewAccount({ onClose }: { readonly onClose: () => void }) {
  const { text } = useSpeech();
  const queries = useQueryClient();
  const [username, setUsername] = useState('');
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [error, setError] = useState<unknown>();
  const create = async () => {
    try {
      await api.signUp({ body: { username, name: name || username, password } });
      await queries.invalidateQueries({ queryKey: ['accounts'] });
      onClose();
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <Dialog
      title={text('accounts.create')}
      isOpen
      onClose={onClose}
      onSubmit={create}
      actions={
        <>
          <Button look="quiet" onPress={onClose}>
            {text('cancel')}
          </Button>
          <Button look="primary" type="submit" isDisabled={username === '' || password === ''}>
            {text('accounts.create')}
          </Button>
        </>
      }
    >
      <TextField label={text('signIn.username')} value={username} onChange={setUsername} autoComplete="off" autoFocus />
      <TextField label={text('person.name')} value={name} onChange={setName} />
      <TextField
        label={text('signIn.password')}
        type="password"
        value={password}
        onChange={setPassword}
        autoComplete="new-password"
      />
      {error !== undefined && <Failure error={error} />}
    </Dialog>
  );
}

function Accounts() {
  const { text } = useSpeech();
  const { data, error, refetch } = useQuery({
    queryKey: ['accounts'],
    queryFn: ({ signal }) => api.listAccounts({ query: { limit: pageRows }, signal }),
  });
  if (error) return <Failure error={error} onRetry={() => refetch()} />;
  return (
    <Card>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to take the focus */}
      <section className={layout.scroll} tabIndex={0} aria-label={text('nav.accounts')}>
        <table className={layout.table}>
          <thead>
            <tr>
              <th scope="col">{text('signIn.username')}</th>
              <th scope="col">{text('accounts.roleTitle')}</th>
              <th scope="col">{text('accounts.since')}</th>
              <th scope="col" className={layout.number}>
                {text('actions')}
              </th>
            </tr>
          </thead>
          <tbody>
            {data?.accounts.map((account) => (
              <Row key={account.id} account={account} />
            ))}
          </tbody>
        </table>
      </section>
    </Card>
  );
}

export function AccountsPage() {
  const { text } = useSpeech();
  const isAdmin = useMay('admin');
  const [isNew, setIsNew] = useState(false);
  return (
    <Page
      title={text('nav.accounts')}
      lead={text('accounts.lead')}
      actions={
        isAdmin && (
          <Button look="primary" onPress={() => setIsNew(true)}>
            <Icon name="plus" /> {text('accounts.create')}
          </Button>
        )
      }
    >
      {isAdmin ? <Accounts /> : <RoleNote needs="admin" />}
      {isNew && <NewAccount onClose={() => setIsNew(false)} />}
    </Page>
  );
}
