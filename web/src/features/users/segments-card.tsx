import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { Membership, User } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Failure } from '../../ui/failure.tsx';
import { TextField } from '../../ui/field.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Badge, Card, Empty, layout } from '../../ui/layout.tsx';
import { ActionMenu } from '../../ui/menu.tsx';
import { Combo } from '../../ui/select.tsx';
import { useSegmentChoices } from '../conditions/hints.tsx';
import { useMemberActions } from '../members/actions.ts';
import { SourceBadge } from '../members/source-badge.tsx';
import { instantOf, localOf } from '../segments/draft.ts';

const route = getRouteApi('/people/$user');

/** Whether a person is in a segment, and everything that decided it. */
export function Why({ user, slug }: { readonly user: string; readonly slug: string }) {
  const { text, percent, moment } = useSpeech();
  const { data, error } = useQuery({
    queryKey: ['why', user, slug],
    queryFn: ({ signal }) => api.explainPair({ params: { user, slug }, signal }),
  });
  if (error) return <Failure error={error} />;
  if (!data) return <span className={layout.soft}>{text('loading')}</span>;
  return (
    <div className={classes(layout.row, layout.small)} data-testid="why">
      <Badge tone={data.member ? 'good' : 'bad'}>{text(data.member ? 'why.in' : 'why.out')}</Badge>
      <SourceBadge source={data.source} />
      {data.bucket !== null && <span>{text('why.bucket', { bucket: percent(data.bucket) })}</span>}
      {data.percentage !== null && data.percentage !== undefined && (
        <span>{text('why.percentage', { share: percent(data.percentage) })}</span>
      )}
      {data.matched !== null && <span>{text(data.matched ? 'why.matched' : 'why.notMatched')}</span>}
      {data.expires_at && <span>{text('why.until', { time: moment(data.expires_at) })}</span>}
    </div>
  );
}

function Row({ membership, user }: { readonly membership: Membership; readonly user: User }) {
  const { text, moment } = useSpeech();
  const mayEdit = useMay('editor');
  const actions = useMemberActions();
  const [isOpen, setIsOpen] = useState(false);
  const { slug, source, since, expires_at } = membership;
  const id = String(user.id);
  const held = { user: id, name: slug, slug, source, expires_at };
  return (
    <tr>
      <td>
        <Link to="/segments/$slug" params={{ slug }}>
          {slug}
        </Link>
        {isOpen && <Why user={id} slug={slug} />}
      </td>
      <td>
        <SourceBadge source={source} />
      </td>
      <td className={layout.small}>
        {since && <div>{text('members.sinceTime', { time: moment(since) })}</div>}
        {expires_at && <div>{text('why.until', { time: moment(expires_at) })}</div>}
      </td>
      <td className={layout.number}>
        <Button look="quiet" isSmall aria-expanded={isOpen} onPress={() => setIsOpen(!isOpen)}>
          {text('why.ask')}
        </Button>
        {mayEdit && (
          <ActionMenu
            label={text('members.actions', { name: slug })}
            actions={[
              { id: 'remove', text: text('members.remove'), isDanger: true, run: () => actions.remove(held) },
              { id: 'exclude', text: text('members.exclude'), run: () => actions.set(held, 'exclude') },
            ]}
          />
        )}
      </td>
    </tr>
  );
}

/** Asks about any segment, including those that the person is not in, and adds them. */
function AskOther({ user }: { readonly user: User }) {
  const { text } = useSpeech();
  const mayEdit = useMay('editor');
  const actions = useMemberActions();
  const [typed, setTyped] = useState('');
  const [asked, setAsked] = useState<string>();
  const choices = useSegmentChoices(typed);
  const ask = (slug: string) => setAsked(slug === '' ? undefined : slug);
  const id = String(user.id);
  return (
    <div className={layout.stack}>
      <div className={classes(layout.row, layout.ends)}>
        <div className={layout.grow}>
          <Combo label={text('why.other')} value={typed} onChange={setTyped} items={choices} onPick={ask} />
        </div>
        <Button isDisabled={typed === ''} onPress={() => ask(typed.trim())}>
          {text('why.ask')}
        </Button>
        {mayEdit && asked !== undefined && (
          <Button
            onPress={() =>
              actions.set({ user: id, name: asked, slug: asked, source: 'none', expires_at: null }, 'include')
            }
          >
            <Icon name="plus" /> {text('person.putIn')}
          </Button>
        )}
      </div>
      {asked !== undefined && <Why user={id} slug={asked} />}
    </div>
  );
}

/** The segments as they were at a past moment. */
function Then({ user, at }: { readonly user: User; readonly at: string }) {
  const { text, moment } = useSpeech();
  const { data, error, refetch } = useQuery({
    queryKey: ['memberships', user.id, 'at', at],
    queryFn: ({ signal }) => api.listUserSegments({ params: { user: String(user.id) }, query: { at }, signal }),
    placeholderData: keepPreviousData,
  });
  if (error) return <Failure error={error} onRetry={() => refetch()} />;
  if (!data) return <div className={layout.loading}>{text('loading')}</div>;
  if (data.segments.length === 0) return <Empty title={text('person.noneThen', { time: moment(at) })} />;
  return (
    <>
      <p>{text('person.then', { count: data.segments.length, time: moment(at) })}</p>
      <ul className={layout.row} data-testid="then">
        {data.segments.map((slug) => (
          <li key={slug}>
            <Link to="/segments/$slug" params={{ slug }}>
              <Badge>{slug}</Badge>
            </Link>
          </li>
        ))}
      </ul>
    </>
  );
}

function Now({ user }: { readonly user: User }) {
  const { text } = useSpeech();
  const { data, error, refetch } = useQuery({
    queryKey: ['memberships', user.id],
    queryFn: ({ signal }) => api.listMemberships({ params: { user: String(user.id) }, signal }),
  });
  if (error) return <Failure error={error} onRetry={() => refetch()} />;
  if (!data) return <div className={layout.loading}>{text('loading')}</div>;
  if (data.memberships.length === 0) return <Empty title={text('person.none')}>{text('person.noneHint')}</Empty>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be focusable
    <section className={layout.scroll} tabIndex={0} aria-label={text('person.segments')}>
      <table className={layout.table}>
        <thead>
          <tr>
            <th scope="col">{text('list.segment')}</th>
            <th scope="col">{text('members.why')}</th>
            <th scope="col">{text('charts.time')}</th>
            <th scope="col" className={layout.number}>
              {text('actions')}
            </th>
          </tr>
        </thead>
        <tbody>
          {data.memberships.map((membership) => (
            <Row key={membership.slug} membership={membership} user={user} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

export function SegmentsCard({ user }: { readonly user: User }) {
  const { text } = useSpeech();
  const { at } = route.useSearch();
  const navigate = useNavigate({ from: '/people/$user' });
  const maySee = useMay('viewer');
  return (
    <Card title={text('person.segments')}>
      <div className={classes(layout.row, layout.ends)}>
        <TextField
          label={text('person.asOf')}
          type="datetime-local"
          value={localOf(at)}
          onChange={(local) => navigate({ search: (old) => ({ ...old, at: instantOf(local) }), replace: true })}
        />
        {at !== undefined && (
          <Button onPress={() => navigate({ search: (old) => ({ ...old, at: undefined }) })}>
            {text('person.now')}
          </Button>
        )}
      </div>
      {at === undefined ? <Now user={user} /> : <Then user={user} at={at} />}
      {at === undefined && maySee && <AskOther user={user} />}
    </Card>
  );
}
