import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { lazy, Suspense } from 'react';
import { api } from '../../api/api.ts';
import { useSpeech } from '../../i18n/language.ts';
import { type Period, periods } from '../../search.ts';
import { Failure } from '../../ui/failure.tsx';
import { Choices } from '../../ui/field.tsx';
import { Card, Empty, layout } from '../../ui/layout.tsx';
import { segmentQuery } from './queries.ts';

const route = getRouteApi('/segments/$slug/charts');
const SizeChart = lazy(() => import('./size-chart.tsx'));

const dayMs = 86_400_000;
const lengthsMs: Readonly<Record<Period, number>> = {
  day: dayMs,
  week: 7 * dayMs,
  month: 30 * dayMs,
  year: 365 * dayMs,
};
const points = 60;

export function ChartsTab() {
  const { text, plain, moment, number } = useSpeech();
  const { slug } = route.useParams();
  const { period = 'week' } = route.useSearch();
  const navigate = useNavigate({ from: '/segments/$slug/charts' });
  const { data: segment } = useQuery(segmentQuery(slug));
  const { data, error, isPending, refetch } = useQuery({
    queryKey: ['sizes', slug, period],
    queryFn: ({ signal }) => {
      const to = Date.now();
      // The clock here may be behind the one that dated the creation.
      const from = Math.min(to - 1, Math.max(to - lengthsMs[period], Date.parse(segment?.created_at ?? '')));
      const query = { from: new Date(from).toISOString(), to: new Date(to).toISOString(), points };
      return api.sizes({ params: { slug }, query, signal });
    },
    enabled: segment !== undefined,
    placeholderData: keepPreviousData,
    retry: false,
  });
  const list = data?.points ?? [];
  return (
    <Card
      title={text('charts.size')}
      actions={
        <Choices
          label={text('charts.period')}
          isLabelHidden
          isSmall
          value={period}
          onChange={(next) => navigate({ search: { period: next }, replace: true })}
          items={periods.map((id) => ({ id, text: plain(`charts.${id}`) }))}
        />
      }
    >
      {error && <Failure error={error} onRetry={() => refetch()} />}
      {isPending && !error && <div className={layout.loading}>{text('loading')}</div>}
      {data && list.length === 0 && <Empty title={text('charts.none')}>{text('charts.noneHint')}</Empty>}
      {list.length > 0 && (
        <>
          <Suspense fallback={<div className={layout.loading}>{text('loading')}</div>}>
            <SizeChart points={list} />
          </Suspense>
          <details>
            <summary>{text('charts.table')}</summary>
            <table className={layout.table}>
              <thead>
                <tr>
                  <th scope="col">{text('charts.time')}</th>
                  <th scope="col" className={layout.number}>
                    {text('list.size')}
                  </th>
                </tr>
              </thead>
              <tbody>
                {list.toReversed().map(({ at, count }) => (
                  <tr key={at}>
                    <td>{moment(at)}</td>
                    <td className={layout.number}>{number(count)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </details>
        </>
      )}
    </Card>
  );
}
