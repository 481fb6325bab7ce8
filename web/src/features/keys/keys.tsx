import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { Key } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { RoleNote } from '../../session/roles.tsx';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { Confirm } from '../../ui/confirm.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Badge, Empty, layout, Page } from '../../ui/layout.tsx';
import { type Column, Rows } from '../../ui/rows.tsx';
import { SecretDialog } from '../../ui/secret-dialog.tsx';
import { NewKeyDialog } from './new-key.tsx';

const pageRows = 1000;

function Revoke({ entry }: { readonly entry: Key }) {
  const { text } = useSpeech();
  const queries = useQueryClient();
  const [isOpen, setIsOpen] = useState(false);
  const revoke = async () => {
    await api.revokeKey({ params: { id: String(entry.id) } });
    await queries.invalidateQueries({ queryKey: ['keys'] });
  };
  return (
    <>
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
    </>
  );
}

function Name({ entry }: { readonly entry: Key }) {
  return (
    <span className={layout.row}>
      <strong>{entry.name}</strong>
      {entry.tags?.map((tag) => (
        <Badge key={tag}>{tag}</Badge>
      ))}
    </span>
  );
}

function useColumns(): readonly Column<Key>[] {
  const { text, find, date, moment } = useSpeech();
  return [
    { title: text('keys.name'), width: 'minmax(0, 2fr)', render: (entry) => <Name entry={entry} /> },
    {
      title: text('accounts.roleTitle'),
      width: 'minmax(0, 1.4fr)',
      render: ({ role }) => find(`keys.role.${role}`) ?? role,
    },
    {
      title: text('accounts.since'),
      width: 'minmax(0, 1fr)',
      isWideOnly: true,
      render: ({ created_at }) => <time dateTime={created_at}>{date(created_at)}</time>,
    },
    {
      title: text('keys.expires'),
      width: 'minmax(0, 1.2fr)',
      render: ({ expires_at }) => (expires_at ? moment(expires_at) : text('keys.never')),
    },
    { title: text('actions'), width: '120px', isEnd: true, render: (entry) => <Revoke entry={entry} /> },
  ];
}

function Keys() {
  const { text } = useSpeech();
  const { data, error, refetch } = useQuery({
    queryKey: ['keys'],
    queryFn: ({ signal }) => api.listKeys({ query: { limit: pageRows }, signal }),
  });
  const columns = useColumns();
  if (error) return <Failure error={error} onRetry={() => refetch()} />;
  if (data?.keys.length === 0) return <Empty title={text('keys.none')}>{text('keys.noneHint')}</Empty>;
  return <Rows label={text('nav.keys')} rows={data?.keys ?? []} columns={columns} keyOf={({ id }) => id} />;
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
        <NewKeyDialog
          onClose={() => setIsNew(false)}
          onCreated={(key) => {
            setIsNew(false);
            setSecret(key);
          }}
        />
      )}
      {secret !== undefined && (
        <SecretDialog
          title={text('keys.shownTitle')}
          label={text('keys.key')}
          secret={secret}
          onClose={() => setSecret(undefined)}
        />
      )}
    </Page>
  );
}
