import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { useSpeech } from '../../i18n/language.ts';
import { kinds } from '../../search.ts';
import { classes } from '../../ui/classes.ts';
import { SearchField } from '../../ui/field.tsx';
import { layout } from '../../ui/layout.tsx';
import { Combo, Select } from '../../ui/select.tsx';
import { useSettledChange } from '../../ui/settled.ts';

const route = getRouteApi('/segments');

/** A separate chunk, so that the rows do not wait for the code of the filters. */
export default function Filters({ tags }: { readonly tags: readonly string[] }) {
  const { text, plain } = useSpeech();
  const search = route.useSearch();
  const navigate = useNavigate({ from: '/segments' });
  const [query, setQuery] = useState(search.query ?? '');
  const [tag, setTag] = useState(search.tag ?? '');
  useSettledChange(`${query}\n${tag}`, (settled) => {
    const [nextQuery = '', nextTag = ''] = settled.split('\n');
    void navigate({
      search: (old) => ({ ...old, query: nextQuery || undefined, tag: nextTag || undefined }),
      replace: true,
    });
  });
  useEffect(() => setTag(search.tag ?? ''), [search.tag]);
  return (
    <search className={classes(layout.row, layout.ends)}>
      <div className={layout.grow}>
        <SearchField label={text('list.search')} value={query} onChange={setQuery} />
      </div>
      <Combo
        label={text('list.tag')}
        isLabelHidden
        placeholder={text('list.anyTag')}
        value={tag}
        onChange={setTag}
        items={tags.filter((one) => one.includes(tag)).map((one) => ({ id: one, text: one }))}
      />
      <Select
        label={text('list.kind')}
        isLabelHidden
        value={search.kind ?? 'any'}
        onChange={(kind) =>
          navigate({ search: (old) => ({ ...old, kind: kind === 'any' ? undefined : kind }), replace: true })
        }
        items={[{ id: 'any', text: text('list.anyKind') }, ...kinds.map((id) => ({ id, text: plain(`kind.${id}`) }))]}
      />
    </search>
  );
}
