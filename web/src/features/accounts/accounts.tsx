import type { Role } from '@kohort/contract';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { Account } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { RoleNote } from '../../session/roles.tsx';
import { useMay, useMe } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Dialog } from '../../ui/dialog.tsx';
import { Failure, sentenceOf } from '../../ui/failure.tsx';
import { TextField } from '../../ui/field.tsx';
import { FormActions } from '../../ui/form-actions.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Badge, layout, Page } from '../../ui/layout.tsx';
import { type Column, Rows } from '../../ui/rows.tsx';
import { Select } from '../../ui/select.tsx';
import { useSay } from '../../ui/toast.tsx';

const roles = ['member', 'viewer', 'editor', 'admin'] as const satisfies readonly Role[];
const pageRows = 1000;

/** Changes an account, and shows a confirmation. */
function useChange() {
  const speech = useSpeech();
  const queries = useQueryClient();
  const say = useSay();
  return async ({ id, username }: Account, body: { readonly role?: Role; readonly disabled?: boolean }) => {
    try {
      await api.changeAccount({ params: { id: String(id) }, body });
      say(speech.text('accounts.changed', { name: username }));
    } catch (error) {
      say(sentenceOf(error, speech));
    }
    await queries.invalidateQueries({ queryKey: ['accounts'] });
  };
}

function Who({ account }: { readonly account: Account }) {
  const { text } = useSpeech();
  const me = useMe();
  return (
    <div className={classes(layout.stack, layout.tight)}>
      <span className={layout.row}>
        <strong>{account.username}</strong>
        {account.id === me.id && <Badge tone="accent">{text('accounts.you')}</Badge>}
        {account.disabled && <Badge tone="bad">{text('accounts.disabled')}</Badge>}
      </span>
      <span className={layout.soft}>{account.name}</span>
    </div>
  );
}

function useColumns(): readonly Column<Account>[] {
  const { text, plain, date } = useSpeech();
  const change = useChange();
  return [
    { title: text('signIn.username'), width: 'minmax(0, 2fr)', render: (account) => <Who account={account} /> },
    {
      title: text('accounts.roleTitle'),
      width: 'minmax(0, 1.4fr)',
      render: (account) => (
        <Select
          label={text('accounts.role', { name: account.username })}
          isLabelHidden
          value={account.role}
          onChange={(role) => change(account, { role })}
          items={roles.map((id) => ({ id, text: plain(`role.${id}`) }))}
        />
      ),
    },
    {
      title: text('accounts.since'),
      width: 'minmax(0, 1fr)',
      isWideOnly: true,
      render: ({ created_at }) => <time dateTime={created_at}>{date(created_at)}</time>,
    },
    {
      title: text('actions'),
      width: '140px',
      isEnd: true,
      render: (account) => (
        <Button isSmall onPress={() => change(account, { disabled: !account.disabled })}>
          {text(account.disabled ? 'accounts.enable' : 'accounts.disable')}
        </Button>
      ),
    },
  ];
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
        <FormActions
          onClose={onClose}
          submit={text('accounts.create')}
          isDisabled={username === '' || password === ''}
        />
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
  const columns = useColumns();
  if (error) return <Failure error={error} onRetry={() => refetch()} />;
  return <Rows label={text('nav.accounts')} rows={data?.accounts ?? []} columns={columns} keyOf={({ id }) => id} />;
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
