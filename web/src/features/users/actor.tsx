import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api } from '../../api/api.ts';
import { useSpeech } from '../../i18n/language.ts';
import { layout } from '../../ui/layout.tsx';

const steadyMs = 300_000;

function UserActor({ id }: { readonly id: string }) {
  const { text } = useSpeech();
  const { data } = useQuery({
    queryKey: ['user', id],
    queryFn: ({ signal }) => api.readUser({ params: { user: id }, signal }),
    staleTime: steadyMs,
  });
  // The person is erased or may not be read by this account: only the id is known.
  const name = data?.name ?? data?.external_id ?? text('actor.user', { id });
  return (
    <Link to="/people/$user" params={{ user: id }} className={layout.inText}>
      {name}
    </Link>
  );
}

/** The actor of a change, in the form of the service: `user:1`, `key:2`, `anonymous`, `system`. */
export function Actor({ actor }: { readonly actor: string }) {
  const { text } = useSpeech();
  const [kind = '', id = ''] = actor.split(':');
  if (kind === 'user') return <UserActor id={id} />;
  if (kind === 'key') return text('actor.key', { id });
  if (kind === 'system') return text('actor.system');
  return kind === 'anonymous' ? text('actor.anonymous') : actor;
}
