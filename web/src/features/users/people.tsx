import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { api } from '../../api/api.ts';
import type { User } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { RoleNote } from '../../session/roles.tsx';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Dialog } from '../../ui/dialog.tsx';
import { Failure } from '../../ui/failure.tsx';
import { SearchField, TextField } from '../../ui/field.tsx';
import { FormActions } from '../../ui/form-actions.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Badge, Empty, layout, Page } from '../../ui/layout.tsx';
import { type Column, Rows } from '../../ui/rows.tsx';
import { useSettledChange } from '../../ui/settled.ts';
import { UploadDialog } from '../members/upload-dialog.tsx';
import { PersonLink } from './person-link.tsx';

const route = getRouteApi('/people');
const pageRows = 200;
const shownAttributes = 4;

function Attributes({ attributes }: { readonly attributes: User['attributes'] }) {
  const entries = Object.entries(attributes);
  return (
    <div className={layout.row}>
      {entries.slice(0, shownAttributes).map(([name, value]) => (
        <Badge key={name}>
          {name}: {typeof value === 'string' ? value : JSON.stringify(value)}
        </Badge>
      ))}
      {entries.length > shownAttributes && <span className={layout.soft}>+{entries.length - shownAttributes}</span>}
    </div>
  );
}

function NewPerson({ onClose }: { readonly onClose: () => void }) {
  const { text } = useSpeech();
  const navigate = useNavigate();
  const [externalId, setExternalId] = useState('');
  const [name, setName] = useState('');
  const [error, setError] = useState<unknown>();
  const create = async () => {
    try {
      const body = { ...(externalId && { external_id: externalId }), ...(name && { name }) };
      const { id } = await api.createUser({ body });
      await navigate({ to: '/people/$user', params: { user: String(id) } });
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <Dialog
      title={text('people.create')}
      isOpen
      onClose={onClose}
      onSubmit={create}
      actions={<FormActions onClose={onClose} submit={text('people.create')} />}
    >
      <TextField
        label={text('person.externalId')}
        hint={text('people.externalIdHint')}
        value={externalId}
        onChange={setExternalId}
        autoFocus
      />
      <TextField label={text('person.name')} value={name} onChange={setName} />
      {error !== undefined && <Failure error={error} />}
    </Dialog>
  );
}

function useColumns(): readonly Column<User>[] {
  const { text, moment } = useSpeech();
  return [
    { title: text('members.person'), width: 'minmax(0, 1.6fr)', render: (user) => <PersonLink user={user} /> },
    {
      title: text('person.attributes'),
      width: 'minmax(0, 2.6fr)',
      render: ({ attributes }) => <Attributes attributes={attributes} />,
    },
    {
      title: text('people.since'),
      width: '170px',
      isWideOnly: true,
      render: ({ created_at }) => <time dateTime={created_at}>{moment(created_at)}</time>,
    },
  ];
}

export function PeoplePage() {
  const { text } = useSpeech();
  const search = route.useSearch();
  const navigate = useNavigate({ from: '/people' });
  const mayEdit = useMay('editor');
  const [typed, setTyped] = useState(search.query ?? '');
  const [dialog, setDialog] = useState<'new' | 'upload'>();
  const query = useSettledChange(typed.trim(), (next) => {
    void navigate({ search: { query: next || undefined }, replace: true });
  });
  const list = useInfiniteQuery({
    queryKey: ['users', query],
    queryFn: ({ signal, pageParam }) =>
      api.listUsers({ query: { query, limit: pageRows, ...(pageParam && { cursor: pageParam }) }, signal }),
    initialPageParam: '',
    getNextPageParam: ({ next_cursor }) => next_cursor,
    placeholderData: keepPreviousData,
  });
  const rows = useMemo(() => list.data?.pages.flatMap(({ users }) => users) ?? [], [list.data]);
  const columns = useColumns();
  return (
    <Page
      title={text('nav.people')}
      lead={text('people.lead')}
      actions={
        mayEdit && (
          <>
            <Button onPress={() => setDialog('upload')}>
              <Icon name="upload" /> {text('members.upload')}
            </Button>
            <Button look="primary" onPress={() => setDialog('new')}>
              <Icon name="plus" /> {text('people.create')}
            </Button>
          </>
        )
      }
    >
      <search>
        <SearchField label={text('people.search')} value={typed} onChange={setTyped} />
      </search>
      {list.error && <Failure error={list.error} onRetry={() => list.refetch()} />}
      {rows.length > 0 && (
        <Rows
          label={text('nav.people')}
          rows={rows}
          columns={columns}
          keyOf={({ id }) => id}
          hasMore={list.hasNextPage && !list.isFetchingNextPage}
          onEnd={list.fetchNextPage}
          foot={text(list.hasNextPage ? 'people.shownMore' : 'people.shown', { count: rows.length })}
        />
      )}
      {list.isSuccess && rows.length === 0 && (
        <Empty title={text(query === '' ? 'people.none' : 'people.noneFound')}>
          {text(query === '' ? 'people.noneHint' : 'people.noneFoundHint')}
        </Empty>
      )}
      {list.isPending && <div className={classes(layout.loading)}>{text('loading')}</div>}
      <RoleNote needs="editor" />
      {dialog === 'new' && <NewPerson onClose={() => setDialog(undefined)} />}
      {dialog === 'upload' && <UploadDialog target="users" onClose={() => setDialog(undefined)} />}
    </Page>
  );
}
