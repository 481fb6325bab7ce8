import { useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { User } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { RoleNote } from '../../session/roles.tsx';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { Confirm } from '../../ui/confirm.tsx';
import { Failure } from '../../ui/failure.tsx';
import { TextField } from '../../ui/field.tsx';
import { Icon } from '../../ui/icons.tsx';
import { layout, Page } from '../../ui/layout.tsx';
import { useSay } from '../../ui/toast.tsx';
import { AttributesCard } from './attributes-card.tsx';
import { HistoryCard } from './history-card.tsx';
import { SegmentsCard } from './segments-card.tsx';

const route = getRouteApi('/people/$user');

/** Erasing cannot be undone, so the id has to be typed to confirm. */
function Erase({ user, name }: { readonly user: User; readonly name: string }) {
  const { text } = useSpeech();
  const [isOpen, setIsOpen] = useState(false);
  const [typed, setTyped] = useState('');
  const navigate = useNavigate();
  const queries = useQueryClient();
  const say = useSay();
  const erase = async () => {
    await api.eraseUser({ params: { user: String(user.id) } });
    say(text('person.erased', { name }));
    await navigate({ to: '/people' });
    await queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'me' });
  };
  return (
    <>
      <Button onPress={() => setIsOpen(true)}>
        <Icon name="trash" /> {text('person.erase')}
      </Button>
      <Confirm
        title={text('person.eraseTitle', { name })}
        isOpen={isOpen}
        onClose={() => setIsOpen(false)}
        button={text('person.erase')}
        run={erase}
        isReady={typed.trim() === String(user.id)}
        isDanger
      >
        <p>{text('person.eraseHint')}</p>
        <TextField label={text('person.eraseType', { id: String(user.id) })} value={typed} onChange={setTyped} />
      </Confirm>
    </>
  );
}

export function PersonPage() {
  const { text } = useSpeech();
  const { user: ref } = route.useParams();
  const mayEdit = useMay('editor');
  const maySee = useMay('viewer');
  const {
    data: user,
    error,
    refetch,
  } = useQuery({
    queryKey: ['user', ref],
    queryFn: ({ signal }) => api.readUser({ params: { user: ref }, signal }),
  });
  if (!user) {
    return (
      <Page title={ref}>
        {error ? (
          <Failure error={error} onRetry={() => refetch()} />
        ) : (
          <div className={layout.loading}>{text('loading')}</div>
        )}
      </Page>
    );
  }
  const name = user.name ?? user.external_id ?? `#${user.id}`;
  return (
    <Page
      title={name}
      above={
        maySee && (
          <Link to="/people" className={layout.small}>
            {text('nav.people')}
          </Link>
        )
      }
      actions={mayEdit && <Erase user={user} name={name} />}
    >
      <div className={layout.split}>
        <div className={layout.stack}>
          <SegmentsCard user={user} />
          <HistoryCard user={user} />
        </div>
        <AttributesCard user={user} />
      </div>
      {!maySee && <RoleNote needs="viewer" />}
    </Page>
  );
}
