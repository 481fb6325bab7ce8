import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useMemo } from 'react';
import { api } from '../../api/api.ts';
import type { Delivery } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Failure, sentenceOf } from '../../ui/failure.tsx';
import { Badge, Empty, layout, type Tone } from '../../ui/layout.tsx';
import { type Column, Rows } from '../../ui/rows.tsx';
import { useSay } from '../../ui/toast.tsx';
import { deliveriesQuery } from './queries.ts';

const tones: Readonly<Record<Delivery['state'], Tone>> = { pending: 'accent', succeeded: 'good', failed: 'bad' };

function What({ delivery }: { readonly delivery: Delivery }) {
  const { text, plain } = useSpeech();
  const { type, changes, replay_of, message_id } = delivery;
  return (
    <div className={classes(layout.stack, layout.tight)}>
      <span>
        {type === 'changes' ? text('hooks.changes', { count: changes }) : plain(`hooks.type.${type}`)}{' '}
        {replay_of !== null && <Badge>{text('hooks.replayOf', { id: replay_of })}</Badge>}
      </span>
      <code className={classes(layout.soft, layout.small)}>{message_id}</code>
    </div>
  );
}

/** The response of the receiver, or why there was none. */
function Answer({ delivery }: { readonly delivery: Delivery }) {
  const { text, number } = useSpeech();
  const { status, error, duration_ms, attempts, response } = delivery;
  return (
    <div className={classes(layout.stack, layout.tight, layout.small)}>
      <span>
        {status !== null && <strong>{status}</strong>}{' '}
        {duration_ms !== null && text('hooks.took', { time: number(duration_ms) })}{' '}
        {attempts > 1 && text('hooks.attempts', { count: attempts })}
      </span>
      {error !== null && <span lang="en">{error}</span>}
      {delivery.state === 'failed' && response !== null && response !== '' && <code>{response.slice(0, 200)}</code>}
    </div>
  );
}

function Replay({ id, delivery }: { readonly id: string; readonly delivery: Delivery }) {
  const speech = useSpeech();
  const { text } = speech;
  const queries = useQueryClient();
  const say = useSay();
  const replay = async () => {
    try {
      await api.replayDelivery({ params: { id, delivery: String(delivery.id) } });
      say(text('hooks.replayed'));
    } catch (error) {
      say(sentenceOf(error, speech));
    }
    await queries.invalidateQueries({ queryKey: ['webhook', id] });
  };
  return (
    <Button isSmall aria-label={text('hooks.replayOne', { id: delivery.id })} onPress={replay}>
      {text('hooks.replay')}
    </Button>
  );
}

function useColumns(id: string): readonly Column<Delivery>[] {
  const { text, plain, moment } = useSpeech();
  const mayEdit = useMay('editor');
  return [
    { title: text('hooks.message'), width: 'minmax(0, 2fr)', render: (delivery) => <What delivery={delivery} /> },
    {
      title: text('jobs.state'),
      width: 'minmax(0, 0.9fr)',
      render: ({ state }) => <Badge tone={tones[state]}>{plain(`hooks.delivery.${state}`)}</Badge>,
    },
    { title: text('hooks.answer'), width: 'minmax(0, 1.6fr)', render: (delivery) => <Answer delivery={delivery} /> },
    {
      title: text('charts.time'),
      width: '180px',
      render: ({ created_at }) => <time dateTime={created_at}>{moment(created_at)}</time>,
    },
    ...(mayEdit
      ? [
          {
            title: text('actions'),
            width: '124px',
            isEnd: true,
            render: (delivery: Delivery) => delivery.state !== 'pending' && <Replay id={id} delivery={delivery} />,
          },
        ]
      : []),
  ];
}

/** The deliveries with their outcomes, newest first. */
export function Deliveries({ id }: { readonly id: string }) {
  const { text } = useSpeech();
  const list = useInfiniteQuery(deliveriesQuery(id));
  const rows = useMemo(() => list.data?.pages.flatMap(({ deliveries }) => deliveries) ?? [], [list.data]);
  const columns = useColumns(id);
  return (
    <>
      {list.error && <Failure error={list.error} onRetry={() => list.refetch()} />}
      {rows.length > 0 && (
        <Rows
          label={text('hooks.deliveries')}
          rows={rows}
          columns={columns}
          keyOf={(delivery) => delivery.id}
          hasMore={list.hasNextPage && !list.isFetchingNextPage}
          onEnd={list.fetchNextPage}
        />
      )}
      {list.isSuccess && rows.length === 0 && (
        <Empty title={text('hooks.noDeliveries')}>{text('hooks.noDeliveriesHint')}</Empty>
      )}
      {list.isPending && <div className={layout.loading}>{text('loading')}</div>}
    </>
  );
}
