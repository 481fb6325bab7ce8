import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { Overlap } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { Button } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Failure } from '../../ui/failure.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Card, Empty, layout, Page } from '../../ui/layout.tsx';
import { Combo } from '../../ui/select.tsx';
import chips from '../conditions/editor.module.css';
import { useSegmentChoices } from '../conditions/hints.tsx';
import styles from './overlap.module.css';

const route = getRouteApi('/overlap');
const most = 10;
const fewest = 2;
/** The opacity of the darkest cell, whose text is still readable. */
const deepest = 0.26;

function bothOf({ counts, pairs }: Overlap, a: string, b: string): number {
  if (a === b) return counts[a] ?? 0;
  return pairs.find((pair) => (pair.a === a && pair.b === b) || (pair.a === b && pair.b === a))?.both ?? 0;
}

function Matrix({ overlap, slugs }: { readonly overlap: Overlap; readonly slugs: readonly string[] }) {
  const { text, number, percent } = useSpeech();
  return (
    // A wide matrix scrolls, with the keyboard too.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be focusable
    <section className={layout.scroll} tabIndex={0} aria-label={text('overlap.matrix')}>
      <table className={styles.matrix}>
        <thead>
          <tr>
            <td />
            {slugs.map((slug) => (
              <th key={slug} scope="col">
                {slug}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {slugs.map((row) => (
            <tr key={row}>
              <th scope="row">
                <Link to="/segments/$slug" params={{ slug: row }}>
                  {row}
                </Link>
              </th>
              {slugs.map((column) => {
                const both = bothOf(overlap, row, column);
                const of = overlap.counts[row] ?? 0;
                const share = of === 0 ? 0 : both / of;
                return (
                  <td key={column} className={styles.cell}>
                    <span className={styles.shade} style={{ opacity: share * deepest }} />
                    <span className={styles.words}>
                      {number(both)}
                      {row !== column && <small>{percent(Math.round(share * 100))}</small>}
                    </span>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

export function OverlapPage() {
  const { text } = useSpeech();
  const { segments = '' } = route.useSearch();
  const slugs = segments.split(',').filter(Boolean).slice(0, most);
  const navigate = useNavigate({ from: '/overlap' });
  const [typed, setTyped] = useState('');
  const choices = useSegmentChoices(typed).filter(({ id }) => !slugs.includes(id));
  const { data, error, refetch } = useQuery({
    queryKey: ['overlap', slugs],
    queryFn: ({ signal }) => api.overlap({ body: { segments: slugs }, signal }),
    enabled: slugs.length >= fewest,
    placeholderData: keepPreviousData,
    retry: false,
  });
  const choose = (next: readonly string[]) => navigate({ search: { segments: next.join(',') || undefined } });
  const add = (slug: string) => {
    setTyped('');
    if (slug !== '' && !slugs.includes(slug) && slugs.length < most) void choose([...slugs, slug]);
  };
  const isWhole = data !== undefined && slugs.every((slug) => slug in data.counts);
  return (
    <Page title={text('nav.overlap')} lead={text('overlap.lead')}>
      <Card>
        <div className={classes(layout.row, layout.ends)}>
          <div className={layout.grow}>
            <Combo
              label={text('overlap.add')}
              value={typed}
              onChange={setTyped}
              items={choices}
              onPick={add}
              isDisabled={slugs.length >= most}
            />
          </div>
          <Button isDisabled={typed === ''} onPress={() => add(typed.trim())}>
            <Icon name="plus" /> {text('add')}
          </Button>
        </div>
        {slugs.length > 0 && (
          <ul className={chips.chips}>
            {slugs.map((slug) => (
              <li key={slug} className={chips.chip}>
                {slug}
                <button
                  type="button"
                  className={chips.remove}
                  aria-label={text('editor.removeValue', { value: slug })}
                  onClick={() => choose(slugs.filter((other) => other !== slug))}
                >
                  <Icon name="close" size={13} />
                </button>
              </li>
            ))}
          </ul>
        )}
      </Card>
      {error && <Failure error={error} onRetry={() => refetch()} />}
      {slugs.length < fewest && <Empty title={text('overlap.empty')}>{text('overlap.emptyHint')}</Empty>}
      {isWhole && slugs.length >= fewest && (
        <Card title={text('overlap.matrix')}>
          <p className={layout.soft}>{text('overlap.read')}</p>
          <Matrix overlap={data} slugs={slugs} />
          <p>
            {text('overlap.all', { count: data.all })} · {text('overlap.any', { count: data.any })}
          </p>
        </Card>
      )}
    </Page>
  );
}
